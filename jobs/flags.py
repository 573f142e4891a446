"""Flags: every key of a job file as a dotted command-line flag, from the one declaration in `pipeline.config.job`."""

import argparse
import os
import typing
from collections.abc import Callable, Iterator
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from jobs.console import progress
from pipeline.config.job import Job
from pipeline.config.loading import load_job
from pipeline.errors import ConfigError
from pipeline.redaction import redacted
from pipeline.stages.driver import How

_PORTS = 65_535


def add_job(parser: argparse.ArgumentParser) -> None:
    """The job file, a flag for every key in it, and how the job is carried out."""
    parser.add_argument("job", metavar="JOB.yaml", help="the job file")
    add_how(parser)
    keys = parser.add_argument_group("keys of the job file, laid over it")
    for key, field in _keys(Job):
        note = (field.description or "") + _default(field)
        keys.add_argument(
            f"--{key}", metavar="VALUE", dest=f"key:{key}", type=_value, help=note.replace("%", "%%").lstrip()
        )


def add_how(parser: argparse.ArgumentParser) -> None:
    """What does not belong into a job file."""
    parser.add_argument("--address", help="a Ray cluster, e.g. auto; without it Ray starts on this machine")
    parser.add_argument(
        "--allow-code", action="store_true", help="let the job name module:factory, which runs its code"
    )
    parser.add_argument(
        "--replace", action="store_true", help="write over photos in the output folder that are not this run's"
    )
    parser.add_argument(
        "--metrics-port",
        type=int,
        metavar="PORT",
        help="without --address: metrics for Prometheus are at 127.0.0.1:PORT/metrics while the command runs",
    )
    add_output(parser)


def add_output(parser: argparse.ArgumentParser) -> None:
    """How a command tells its result."""
    parser.add_argument("--json", action="store_true", help="end with one line of JSON for a scheduler")


def job_of(options: argparse.Namespace) -> Job:
    """The job that a command line names, its flags laid over the file."""
    values = {key.removeprefix("key:"): value for key, value in vars(options).items() if key.startswith("key:")}
    return load_job(options.job, {key: value for key, value in values.items() if value is not None})


def how_of(options: argparse.Namespace) -> How:
    """How the command is to be carried out.

    Raises:
        ConfigError: a port for metrics that there cannot be.
    """
    port = options.metrics_port
    if port is not None and options.address is not None:
        raise ConfigError(
            "--metrics-port is for Ray on this machine; each machine of a cluster exports its metrics where "
            "'ray start --metrics-export-port' said"
        )
    if port is not None and not 1 <= port <= _PORTS:
        raise ConfigError(f"--metrics-port {port} is not from 1 to {_PORTS}")
    allowed = options.allow_code or os.environ.get("DEEPOT_ALLOW_CODE") == "1"
    redo, retry = (getattr(options, name, False) for name in ("redo", "retry"))
    return How(options.address, allowed, options.replace, redo, retry, progress(), port)


def count(text: str) -> int:
    """A whole number from 1 on, for argparse."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1 on")
    return number


def file_of(suffix: str) -> Callable[[str], str]:
    """For argparse: a file name with the suffix of what is written there."""

    def named(text: str) -> str:
        if not text.lower().endswith(suffix):
            raise argparse.ArgumentTypeError(f"'{text}' would be a {suffix} file: name it so")
        return text

    return named


def _value(text: str) -> Any:  # noqa: ANN401 — whatever YAML reads
    try:
        return yaml.safe_load(text)
    except Exception as error:
        raise argparse.ArgumentTypeError(f"'{redacted(text)}' is not YAML") from error


def _default(field: FieldInfo) -> str:
    """What a key is where nobody sets it, as YAML; nothing where it has to be given or stays away."""
    if field.is_required() or field.default in (None, ()):
        return ""
    told = yaml.safe_dump(to_jsonable_python(field.default), default_flow_style=True, width=1000)
    return f" (default: {told.splitlines()[0]})"


def _keys(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in section.model_fields.items():
        inner = _section(field.annotation)
        if inner is None:
            yield prefix + name, field
        else:
            yield from _keys(inner, f"{prefix}{name}.")


def _section(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 — any type expression
    """The section that a field holds, through `Section | None`."""
    for candidate in (annotation, *typing.get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
