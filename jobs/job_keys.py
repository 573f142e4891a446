"""The keys of a job file as flags: their names, descriptions and types, from the declaration in `pipeline.config`."""

import typing
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from pipeline.config import (
    ENV_PREFIX,
    FILE_PREFIX,
    ConfigSection,
    Job,
    describe_number,
    is_list,
    leaf_types,
    list_choices,
    section_type,
)
from pipeline.errors import ConfigError
from pipeline.redaction import redact


def iter_keys(section: type[ConfigSection] = Job, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Iterate over the dotted keys of a section and their fields.

    A section with a shorthand is a key itself, beside the keys in it.
    """
    for name, field in section.model_fields.items():
        inner = section_type(field)
        if inner is None:
            yield prefix + name, field
        else:
            if inner.shorthand:
                yield prefix + name, field
            yield from iter_keys(inner, f"{prefix}{name}.")


def describe_key(field: FieldInfo) -> str:
    """Return the description of a key with its default."""
    return (field.description or "") + _describe_default(field)


def list_values(field: FieldInfo) -> list[str]:
    """Return the words that a key can be, and examples of other values."""
    leaves, _ = leaf_types(field)
    return [*(choice for leaf in leaves for choice in list_choices(leaf)), *map(str, field.examples or ())]


def value_name(field: FieldInfo) -> str:
    """Return the placeholder for the value of a key in help texts."""
    leaves, _ = leaf_types(field)
    choices = list_values(field)
    if is_list(field):
        return "LIST"
    if section_type(field):
        return "URI"
    if bool in leaves:
        return "true|false"
    if int in leaves or float in leaves:
        return "|".join(["NUMBER", *choices])
    return "|".join(choices) if choices else "TEXT"


def parse_value(flag: str, field: FieldInfo, text: str) -> object:
    """Return the value that the text of a flag has.

    Text stays as it is, so that `1912`, `yes`, `null` and `box #3` can be names and paths. Lists are written as in
    YAML's flow style, `[a, b]`; any other text is the only item of a list.

    Raises:
        ConfigError: not a number where the key is one, a list that cannot be parsed, or a secret, which every user of
            the machine would see in the list of processes.
    """
    if not field.repr and not text.startswith((ENV_PREFIX, FILE_PREFIX)):
        raise ConfigError(
            f"{flag} is a secret, and every user of this machine sees it on a command line: put it into an "
            f"environment variable and write {flag} {ENV_PREFIX}NAME, or into a file that only you can read and "
            f"write {flag} {FILE_PREFIX}PATH"
        )
    if is_list(field):
        return _parse_list(flag, text)
    leaves, _ = leaf_types(field)
    if int in leaves or float in leaves:
        annotation: Any = typing.Annotated[field.annotation, field]
        try:
            TypeAdapter(annotation).validate_python(text)
        except ValidationError:
            raise ConfigError(f"{flag} is '{redact(text)}': give {describe_number(field)}") from None
    return text


def _parse_list(flag: str, text: str) -> list[object]:
    """Parse `[a, b]`, all items as text; any other text, a glob such as `[0-9]*.jpg` too, is one item."""
    stripped = text.strip()
    if not (stripped.startswith("[") and stripped.endswith("]")):
        return [text]
    try:
        items: list[object] = yaml.load(stripped, yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"{flag} is '{redact(text)}', which is not a list: write [a, b], with quotes around items that "
            'contain one of *&!,[]{}#:, such as ["*.tmp", b]'
        ) from error
    return items


def _describe_default(field: FieldInfo) -> str:
    """Return the default as YAML, or nothing if the key is required or has no value by default."""
    if field.is_required() or field.default in (None, ()) or isinstance(field.default, ConfigSection):
        return ""
    yaml_text = yaml.safe_dump(to_jsonable_python(field.default), default_flow_style=True, width=1000)
    return f" (default: {yaml_text.splitlines()[0]})"
