"""Reading a job file with overrides, and explaining what is wrong with it."""

import reprlib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from pipeline.config.job import Job
from pipeline.config.sections import ConfigSection
from pipeline.errors import ConfigError
from pipeline.redaction import redact

RENAMED_KEYS = {
    "vae": "autoencoder",
    "reference": "calibration.reference",
    "source": "calibration",
    "transport.components": "transport.mixture_components",
    "transport.doubt": "transport.shrinkage_se",
    "transport.keep": "transport.preserve",
    "tiles.size": "tiles.max_side",
    "compute.actors": "compute.workers",
    "compute.min_actors": "compute.min_workers",
    "compute.max_actors": "compute.max_workers",
    "compute.gpus_per_actor": "compute.gpus_per_worker",
    "compute.shard_images": "compute.images_per_shard",
    "limits.image_s": "limits.image_timeout_s",
    "evaluate.degrade": "evaluate.degradation",
    "calibration.degrade": "calibration.degradation",
    "calibration.images": "calibration.restored",
}
"""Keys of earlier versions, and those that took their place."""

_SHORT_REPR = reprlib.Repr()
_SHORT_REPR.maxlevel = 2  # aliases of YAML make short files into endless values


def load_job(path: Path | str, overrides: Mapping[str, Any] | None = None) -> Job:
    """Read a job file and apply overrides with dotted keys (`transport.alpha`).

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
        ConfigError: as `load_job`; everything that is wrong in one message.
    """
    try:
        return Job.model_validate(content)
    except ValidationError as error:
        messages = "; ".join(_format_validation_error(dict(item)) for item in error.errors())
        raise ConfigError(redact(f"{name}: {messages}")) from None


def _set_nested(content: dict[str, Any], keys: list[str], value: object) -> None:
    """Set a dotted key; text in place of a section is the value of the section's shorthand."""
    for depth, key in enumerate(keys[:-1], 1):
        inner, section = content.get(key), _find_section(keys[:depth])
        if inner is None:
            inner = content[key] = {}
        elif isinstance(inner, str) and section is not None and section.shorthand:
            inner = content[key] = {section.shorthand: inner}
        elif not isinstance(inner, dict):
            raise ConfigError(f"'{'.'.join(keys)}' cannot be set: '{'.'.join(keys[:depth])}' is not a mapping")
        content = inner
    section = _find_section(keys)
    if section is not None and section.shorthand and isinstance(content.get(keys[-1]), dict):
        content[keys[-1]][section.shorthand] = value
    else:
        content[keys[-1]] = value


def _format_validation_error(item: dict[str, Any]) -> str:
    """One error of pydantic as a sentence about the job file."""
    places = [str(part) for part in item["loc"] if not str(part).startswith(("constrained", "literal"))]
    where = ".".join(places)
    if item["type"] == "extra_forbidden":
        new_key = RENAMED_KEYS.get(where) or _nearest_key(places)
        return f"unknown key '{where}'" + (f"; did you mean '{new_key}'?" if new_key else "")
    if item["type"] == "missing":
        return f"'{where}' is missing"
    message = str(item["msg"]).removeprefix("Value error, ")
    if not where:
        return message
    if item["type"] == "model_type":
        message = f"it must be a mapping with the keys {', '.join(_list_keys(places))}"
    is_secret = places[0] == "notify"  # a webhook's URL
    return f"'{where}': {message}" + ("" if is_secret else f", got {_SHORT_REPR.repr(item['input'])}")


def _nearest_key(places: list[str]) -> str | None:
    near = get_close_matches(places[-1], _list_keys(places[:-1]), n=1)
    return near[0] if near else None


def _list_keys(places: list[str]) -> list[str]:
    """The keys of a section of the job."""
    return list((_find_section(places) or Job).model_fields)


def _find_section(places: list[str]) -> type[ConfigSection] | None:
    """The section of the job at a place; None where there is no section."""
    section: type[ConfigSection] = Job
    for place in places:
        field = section.model_fields.get(place)
        candidates = (field.annotation, *get_args(field.annotation)) if field else ()
        found = next((each for each in candidates if isinstance(each, type) and issubclass(each, ConfigSection)), None)
        if found is None:
            return None
        section = found
    return section
