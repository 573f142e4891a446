"""Escaping what a terminal, a log or a page must not interpret in names and messages."""

import json
import traceback
import unicodedata
from collections.abc import Iterator

_ESCAPED_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Control and format characters, which include those of bidirectional text; lone surrogates; line separators."""


def escape(text: str) -> str:
    r"""Return a text with its control, format and bidirectional characters, lone surrogates and line breaks escaped.

    The result is one line, in Python's notation for these characters.

    >>> print(escape("scan\x1b[2J\n.png"))
    scan\x1b[2J\n.png
    """
    if text.isprintable():
        return text
    return "".join(
        ascii(letter)[1:-1] if unicodedata.category(letter) in _ESCAPED_CATEGORIES else letter for letter in text
    )


def to_json_line(value: object) -> str:
    """Return a value as one line of JSON in printable characters of ASCII; what JSON does not know becomes text."""
    return json.dumps(value, default=str).replace("\x7f", "\\u007f")


def iter_traceback_lines(error: BaseException) -> Iterator[str]:
    """Yield the lines of the tracebacks of an error and of its causes, oldest first; each message is one line."""
    for number, each in enumerate(reversed(_find_chain(error))):
        if number:
            yield "This led to another exception:"
        yield "Traceback (most recent call last):"
        for frame in traceback.format_tb(each.__traceback__):
            yield from map(escape, frame.splitlines())
        yield escape(f"{type(each).__qualname__}: {each}")
        yield from (escape(f"note: {note}") for note in getattr(each, "__notes__", ()))


def _find_chain(error: BaseException) -> list[BaseException]:
    """Return an error and what caused it, as far as the chain is not cyclic."""
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in chain:
        chain.append(following)
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)
    return chain
