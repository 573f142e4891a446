"""Job files: a YAML file and overrides to a job, and what is wrong with them in words."""

import reprlib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from pipeline.config.job import ConfigSection, Job
from pipeline.errors import ConfigError
from pipeline.redaction import redact

_SHORT_REPR = reprlib.Repr()
_SHORT_REPR.maxlevel = 2  # aliases of YAML make short files into endless values


def load_job(path: Path | str, overrides: Mapping[str, Any] | None = None) -> Job:
    """Read a job file and lay dotted overrides (`transport.alpha`) over it.

    Raises:
        ConfigError: not a readable YAML mapping, an unknown key (with the nearest right one), a value out of range.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"there is no job file {path}") from error
    except Exception as error:  # PyYAML's constructors raise anything over values that are not what their tags say
        raise ConfigError(f"job file {path} cannot be read: {' '.join(redact(str(error)).split())}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"job file {path} is not a mapping of keys to values; see the README for one")
    for key, value in (overrides or {}).items():
        _set_nested(content, key.split("."), value)
    return parse_job(content, str(path))


def parse_job(content: Mapping[str, Any], name: str = "job") -> Job:
    """Validate a job given as a mapping.

    Raises:
        ConfigError: as `load_job`; all that is wrong in one message.
    """
    try:
        return Job.model_validate(content)
    except ValidationError as error:
        raise ConfigError(
            redact(f"{name}: " + "; ".join(_format_validation_error(dict(item)) for item in error.errors()))
        ) from None


def _set_nested(content: dict[str, Any], keys: list[str], value: object) -> None:
    for number, key in enumerate(keys[:-1], 1):
        inner = content.get(key)
        if inner is None:
            inner = content[key] = {}
        elif not isinstance(inner, dict):
            raise ConfigError(f"'{'.'.join(keys)}' cannot be set: '{'.'.join(keys[:number])}' is not a mapping")
        content = inner
    content[keys[-1]] = value


def _format_validation_error(item: dict[str, Any]) -> str:
    """One validation error in words."""
    key_path = [str(part) for part in item["loc"] if not str(part).startswith(("constrained", "literal"))]
    where = ".".join(key_path)
    if item["type"] == "extra_forbidden":
        near = get_close_matches(key_path[-1], _section_keys(key_path[:-1]), n=1)
        return f"unknown key '{where}'" + (f"; did you mean '{near[0]}'?" if near else "")
    if item["type"] == "missing":
        return f"'{where}' is missing"
    message = str(item["msg"]).removeprefix("Value error, ")
    if not where:
        return message
    if item["type"] == "model_type":
        message = f"it is made of keys: {', '.join(_section_keys(key_path))}"
    shown = key_path[0] != "notify"  # a webhook's URL is a secret
    return f"'{where}': {message}" + (f", got {_SHORT_REPR.repr(item['input'])}" if shown else "")


def _section_keys(key_path: list[str]) -> list[str]:
    """The keys that a section of the job knows."""
    section: type[BaseModel] = Job
    for place in key_path:
        field = section.model_fields.get(place)
        candidates = (field.annotation, *get_args(field.annotation)) if field else ()
        section = next(
            (kind for kind in candidates if isinstance(kind, type) and issubclass(kind, ConfigSection)), section
        )
    return list(section.model_fields)
