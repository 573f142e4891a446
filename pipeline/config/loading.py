"""Reading a job file, with overrides from the command line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pipeline.config.job import Job
from pipeline.config.validation_messages import describe_errors, find_section
from pipeline.errors import ConfigError
from pipeline.redaction import redact

MAX_JOB_BYTES = 2**20
"""The most bytes of a job file."""


class _UniqueKeyLoader(yaml.SafeLoader):
    """Loads YAML and refuses a key that is given twice, of which YAML 1.2 allows neither and PyYAML takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping of a node."""
        seen = set[str]()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    problem = f"the key '{key.value}' is given twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def load_job(path: Path | str | None, overrides: Mapping[str, Any] | None = None) -> Job:
    """Read a job file and apply overrides with dotted keys (`transport.alpha`).

    Args:
        path: the job file; None makes the job from the overrides alone.
        overrides: values of keys.

    Raises:
        ConfigError: it is not a readable YAML mapping, has an unknown key (the nearest known one is named), or a value
            that its key does not accept.
    """
    content = {} if path is None else _read_mapping(path)
    for key, value in (overrides or {}).items():
        _set_nested(content, key.split("."), value)
    return parse_job(content, "command line" if path is None else str(path))


def _read_mapping(path: Path | str) -> dict[str, Any]:
    try:
        content = _UniqueKeyLoader(_read_text(path)).get_single_data()
    except IsADirectoryError as error:
        raise ConfigError(f"{path} is a folder: 'deepot init {path}' writes a job file for the photos in it") from error
    except FileNotFoundError as error:
        raise ConfigError(f"there is no job file {path}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not a job file: it is not text; name a YAML file") from error
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"job file {path}{redact(_describe_yaml_error(error))}") from error
    except Exception as error:  # PyYAML's constructors raise anything over values that do not match their tags
        raise ConfigError(f"job file {path} cannot be read: {' '.join(redact(str(error)).split())}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"job file {path} is not a mapping of keys to values; see the README for an example")
    return content


def _describe_yaml_error(error: yaml.MarkedYAMLError) -> str:
    """Return where a job file is no YAML, and why, as the end of a sentence."""
    mark = error.problem_mark or error.context_mark
    where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    context = f" {error.context}" if error.context else ""
    if error.context and error.context_mark and mark and error.context_mark.line != mark.line:
        context += f" that begins in line {error.context_mark.line + 1}"
    return f"{where}, is not valid YAML:{context}{',' if context else ''} {error.problem or 'it cannot be parsed'}"


def _read_text(path: Path | str) -> str:
    """Return the text of a job file; a FIFO, as a shell makes it of `<(command)`, is read too."""
    with open(path, "rb") as file:
        data = file.read(MAX_JOB_BYTES + 1)
    if len(data) > MAX_JOB_BYTES:
        raise ValueError(f"it has more than {MAX_JOB_BYTES} bytes; is it a job file?")
    return data.decode()


def parse_job(content: Mapping[str, Any], name: str = "job") -> Job:
    """Validate a job that is given as a mapping.

    Args:
        content: the content of a job file.
        name: what error messages call the job.

    Raises:
        ConfigError: as for `load_job`; one message lists everything that is wrong.
    """
    try:
        return Job.model_validate(content)
    except ValidationError as error:
        messages = "; ".join(describe_errors(dict(item) for item in error.errors()))
        raise ConfigError(redact(f"{name}: {messages}")) from None


def _set_nested(content: dict[str, Any], path: list[str], value: object) -> None:
    """Set the value at a path of keys; plain text in place of a section becomes the value of its shorthand key."""
    for depth, key in enumerate(path[:-1], 1):
        inner, section = content.get(key), find_section(path[:depth])
        if inner is None:
            inner = content[key] = {}
        elif isinstance(inner, str) and section is not None and section.shorthand:
            inner = content[key] = {section.shorthand: inner}
        elif not isinstance(inner, dict):
            raise ConfigError(f"'{'.'.join(path)}' cannot be set: '{'.'.join(path[:depth])}' is not a mapping")
        content = inner
    section = find_section(path)
    if section is not None and section.shorthand and isinstance(content.get(path[-1]), dict):
        content[path[-1]][section.shorthand] = value
    else:
        content[path[-1]] = value
