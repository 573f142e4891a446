"""Pydantic's errors as sentences about the job file: the key, the value and what to write instead."""

import datetime
import re
import reprlib
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic.fields import FieldInfo

from pipeline.config.job import Job
from pipeline.config.key_types import describe_number, is_list, leaf_types
from pipeline.config.renamed_keys import REMOVED_KEYS, RENAMED_KEYS, RENAMED_VALUES
from pipeline.config.sections import ConfigSection

_SHORT_REPR = reprlib.Repr()
_SHORT_REPR.maxlevel = 2  # aliases of YAML make short files into endless values
_TEXT_ERRORS, _CHOICE_ERRORS = ("string_type", "model_type"), ("literal_error", "enum")  # types of pydantic's errors


def describe_errors(items: Iterable[dict[str, Any]]) -> list[str]:
    """Describe the errors of pydantic as sentences about the job file; one for each value.

    Args:
        items: the items of `ValidationError.errors()`; a value that may be of several types has an item for each.
    """
    return list(dict.fromkeys(map(_describe_error, items)))


def _describe_error(item: dict[str, Any]) -> str:
    path = [str(part) for part in item["loc"] if not str(part).startswith(("constrained", "literal"))]
    where = ".".join(path)
    field = _find_field(path)
    if field is not None and not is_list(field) and not {int, float}.isdisjoint(leaf_types(field)[0]):
        return f"'{where}' is {_SHORT_REPR.repr(item['input'])}: give {describe_number(field)}"
    if item["type"] == "extra_forbidden":
        return _describe_unknown_key(path, item["input"])
    if item["type"] == "invalid_key":
        return _describe_number_as_key(path, item["input"])
    if item["type"] == "missing":
        return f"'{where}' is missing"
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "string_type":
        message = "it must be text"
    if item["type"] in _CHOICE_ERRORS:
        message = f"it must be {item['ctx']['expected']}"
    if item["type"].startswith("bool"):
        message = "it must be true or false"
    if not where:
        return message
    if item["type"] == "model_type":
        section = find_section(path)
        text = "a URI, or " if section is not None and section.shorthand else ""
        message = f"it must be {text}a mapping with the keys {', '.join(_list_keys(path))}"
    is_secret = path[0] == "notify"  # a webhook's URL
    got = "" if is_secret else f", got {_show(item['input'])}{_hint(path, item)}"
    return f"'{where}': {message}{got}"


def _show(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime.date) else _SHORT_REPR.repr(value)


def _hint(path: Sequence[str], item: dict[str, Any]) -> str:
    """Return what to write instead of a value that a key does not accept; empty if there is nothing to add."""
    value = item["input"]
    if isinstance(value, int | float | datetime.date) and item["type"] in _TEXT_ERRORS:
        return ": write it in quotes"
    key = ".".join(part for part in path if not part.isdigit())
    new_value = RENAMED_VALUES.get((key, value)) if isinstance(value, str) else None
    if new_value is None and item["type"] in _CHOICE_ERRORS and isinstance(value, str):
        new_value = next(iter(get_close_matches(value, re.findall(r"'([^']*)'", item["ctx"]["expected"]), n=1)), None)
    return f"; did you mean '{new_value}'?" if new_value else ""


def _describe_number_as_key(path: Sequence[str], value: object) -> str:
    """Describe a key that is no text: most often the second half of a number with a decimal comma."""
    comma = ": write numbers with a point, such as 0.5" if isinstance(value, int | float) else ""
    return f"'{'.'.join(path[:-1])}' has the key {_SHORT_REPR.repr(value)}, which is no text{comma}"


def _describe_unknown_key(path: Sequence[str], value: object) -> str:
    """Name an unknown key and its likely replacement; for an old section, every key that was written in it."""
    where = ".".join(path)
    paths = [[*path, str(key)] for key in value] if where in RENAMED_KEYS and isinstance(value, dict) else []
    paths = paths or [list(path)]
    if instead := REMOVED_KEYS.get(where):
        return f"the key '{where}' no longer exists: {instead}"
    found = {".".join(each): _find_replacement(each) for each in paths}
    unknown = ", ".join(f"'{key}'" for key in found)
    suggestions = ", ".join(f"'{key}'" for key in dict.fromkeys(found.values()) if key)
    return f"unknown key{'s' * (len(found) > 1)} {unknown}" + (f"; did you mean {suggestions}?" if suggestions else "")


def _find_replacement(path: Sequence[str]) -> str:
    """Return the dotted key that replaces an old one or is spelled most like an unknown one; empty without any."""
    where, section = ".".join(path), ".".join(path[:-1])
    if where in RENAMED_KEYS:
        return RENAMED_KEYS[where]
    section_path = RENAMED_KEYS.get(section, section).split(".") if section else []
    near = get_close_matches(path[-1], _list_keys(section_path), n=1)
    return ".".join([*section_path, *near]) if near or section in RENAMED_KEYS else ""


def _list_keys(path: Sequence[str]) -> list[str]:
    """List the keys of a section of the job; of the job itself if the path leads to no section."""
    return list((find_section(path) or Job).model_fields)


def _find_field(path: Sequence[str]) -> FieldInfo | None:
    """Return the field of a key; None if the path leads to a section or to nothing."""
    section = find_section(path[:-1]) if path else None
    return section.model_fields.get(path[-1]) if section is not None else None


def find_section(path: Sequence[str]) -> type[ConfigSection] | None:
    """Find the section of the job that a path of keys leads to; None if it leads to a value or to nothing."""
    section: type[ConfigSection] = Job
    for key in path:
        field = section.model_fields.get(key)
        candidates = (field.annotation, *get_args(field.annotation)) if field else ()
        found = next((each for each in candidates if isinstance(each, type) and issubclass(each, ConfigSection)), None)
        if found is None:
            return None
        section = found
    return section
