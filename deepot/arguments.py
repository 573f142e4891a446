"""Checks of the arguments of public functions, with messages that name the argument, its value and the choices."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, TypeVar

from deepot.errors import ArgumentError

ChoiceT = TypeVar("ChoiceT", bound=StrEnum)


def describe_value(value: object) -> str:
    """Return a value for a message: text in quotes, numbers and None as they are, the type of anything else.

    Example:
        >>> [describe_value(value) for value in ("detial", 9, None, [1, 2])]
        ["'detial'", '9', 'None', 'of type list']
    """
    if isinstance(value, str):
        return f"'{value}'"
    return str(value) if value is None or isinstance(value, bool | int | float) else f"of type {type(value).__name__}"


def nearest_hint(text: str, choices: Iterable[str]) -> str:
    """Return the end of a message that names the choice most like a text; empty if none is like it.

    Example:
        >>> nearest_hint("detial", ["detail", "plain"])
        "; did you mean 'detail'?"
    """
    close_matches = get_close_matches(text, list(choices), n=1)
    return f"; did you mean '{close_matches[0]}'?" if close_matches else ""


def list_words(words: Sequence[str]) -> str:
    """Return words as a choice in a sentence.

    Example:
        >>> list_words(["a"]), list_words(["a", "b", "c"])
        ('a', 'a, b or c')
    """
    return " or ".join([*([", ".join(words[:-1])] if words[1:] else []), *words[-1:]])


def parse_choice(kind: type[ChoiceT], value: Any, argument: str) -> ChoiceT:  # noqa: ANN401 - whatever the caller was given
    """Return a member of an enumeration, given as such or as plain text.

    Raises:
        ArgumentError: There is no such member; the message lists them.
    """
    try:
        return kind(value)
    except ValueError:
        names = [member.value for member in kind]
        hint = nearest_hint(value, names) if isinstance(value, str) else ""
        raise ArgumentError(f"{argument} is {describe_value(value)}: give {list_words(names)}{hint}") from None


def is_number_within(value: Any, least: float, most: float) -> bool:  # noqa: ANN401 - whatever the caller was given
    """Return whether a value is a number in a closed interval; text and NaN are not.

    Example:
        >>> [is_number_within(value, -4, 4) for value in (0.5, 4, 9, float("nan"), "0.5", None)]
        [True, True, False, False, False, False]
    """
    try:
        return not isinstance(value, str) and least <= float(value) <= most
    except (TypeError, ValueError):
        return False
