r"""The lines of a list of photos: names as they are, and those that a line cannot hold as JSON.

    /scans/box 3/0001.png
    # a comment
    #json "/scans/two\nlines.png"

Lines end in `\n`, or in `\r\n` as on Windows; no other character ends one.
"""

import json
from collections.abc import Iterable, Iterator

_JSON_PREFIX = "#json "


def parse_lines(text: str) -> Iterator[str]:
    r"""Yield the names in the text of a list; blanks around a plain name are not part of it.

    Raises:
        ValueError: a line that begins with `#json "` is not a JSON string; the message has its number.

    Example:
        >>> list(parse_lines('a.png\r\n\n# comment\n#json " b.png"\n'))
        ['a.png', ' b.png']
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith(f'{_JSON_PREFIX}"'):
            yield _parse_json_line(line, number)
        elif not line.startswith("#") and (name := line.strip()):
            yield name


def format_lines(names: Iterable[str]) -> str:
    r"""Return the text of a list, from which `parse_lines` returns the same names.

    Example:
        >>> print(format_lines(["a.png", "#1.png"]), end="")
        a.png
        #json "#1.png"
    """
    return "".join(f"{_format_line(name)}\n" for name in names)


def _format_line(name: str) -> str:
    """Return a name as a line of ASCII if it would not come back from a plain one, here or in another program."""
    is_plain = name.splitlines() == [name.strip()] == [name] and not name.startswith(("#", "\ufeff"))
    if is_plain and not any("\ud800" <= character <= "\udfff" for character in name):
        return name
    return _JSON_PREFIX + json.dumps(name)


def _parse_json_line(line: str, number: int) -> str:
    try:
        name = json.loads(line.removeprefix(_JSON_PREFIX))
    except ValueError as error:
        raise ValueError(f"line {number} begins with {_JSON_PREFIX}and is not a JSON string: {error}") from error
    return str(name)
