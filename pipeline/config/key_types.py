"""What values the keys of a job file take, from the declaration of their fields."""

import typing
from enum import Enum
from typing import Any

from pydantic.fields import FieldInfo

from deepot.arguments import list_words
from pipeline.config.sections import ConfigSection


def describe_number(field: FieldInfo) -> str:
    """Return the numbers that a key takes, such as "a whole number of at least 1, or auto"."""
    leaves, bounds = leaf_types(field)
    text = "a number" if float in leaves else "a whole number"
    at_least, above, at_most = (
        next((getattr(bound, name) for bound in bounds if hasattr(bound, name)), None) for name in ("ge", "gt", "le")
    )
    if at_least is not None and at_most is not None:
        text += f" from {at_least} to {at_most}"
    elif at_least is not None:
        text += f" of at least {at_least}"
    elif above is not None:
        text += f" above {above}"
    choices = [*(choice for leaf in leaves for choice in list_choices(leaf)), *(field.examples or ())]
    return text + (f", or {list_words(choices)}" if choices else "")


def leaf_types(field: FieldInfo) -> tuple[set[Any], list[Any]]:
    """Return the types in a field's annotation, inside of unions, and the bounds of its numbers."""
    leaves, bounds, pending = set[Any](), list[Any](field.metadata), [field.annotation]
    while pending:
        annotation = pending.pop()
        origin = typing.get_origin(annotation)
        if origin is typing.Annotated:
            inner, *metadata = typing.get_args(annotation)
            pending.append(inner)
            bounds += [bound for each in metadata for bound in getattr(each, "metadata", [each])]
        elif origin is typing.Literal or not typing.get_args(annotation):
            leaves.add(annotation)
        else:
            pending += typing.get_args(annotation)
    return leaves - {type(None)}, bounds


def list_choices(leaf: Any) -> tuple[str, ...]:  # noqa: ANN401 — any type expression
    """Return the values of a `Literal` or an enum, nothing for other types."""
    if typing.get_origin(leaf) is typing.Literal:
        return typing.get_args(leaf)
    return tuple(str(member.value) for member in leaf) if isinstance(leaf, type) and issubclass(leaf, Enum) else ()


def is_list(field: FieldInfo) -> bool:
    """Whether a key takes a list."""
    return typing.get_origin(field.annotation) is tuple


def section_type(field: FieldInfo) -> type[ConfigSection] | None:
    """Return the section that a field holds, also if it is optional."""
    for candidate in leaf_types(field)[0]:
        if isinstance(candidate, type) and issubclass(candidate, ConfigSection):
            return candidate
    return None
