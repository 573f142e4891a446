"""Flags: every key of a job file as a dotted command-line flag, from the one declaration in `pipeline.config.job`."""

import argparse
import os
import typing
from collections.abc import Callable, Iterator
from typing import Any

import yaml
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from jobs.console import make_progress
from pipeline.config import ConfigSection, Job, load_job
from pipeline.errors import ConfigError
from pipeline.redaction import redact
from pipeline.stages import RunOptions

_MAX_PORT = 65_535


def add_job_arguments(parser: argparse.ArgumentParser) -> None:
    """The job file, a flag for every key in it, and how the job is carried out."""
    parser.add_argument("job", metavar="JOB.yaml", help="the job file")
    add_run_options(parser)
    keys = parser.add_argument_group("keys of the job file, laid over it")
    for key, field in _iter_keys(Job):
        note = (field.description or "") + _describe_default(field)
        keys.add_argument(
            f"--{key}",
            metavar="VALUE",
            dest=f"key:{key}",
            type=_parser_for(field),
            help=note.replace("%", "%%").lstrip(),
        )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """What does not belong into a job file."""
    parser.add_argument("--address", help="a Ray cluster, e.g. auto; without it Ray starts on this machine")
    parser.add_argument(
        "--allow-code", action="store_true", help="let the job name module:factory, which runs its code"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="write over photos in the output folder that are not this run's"
    )
    parser.add_argument(
        "--metrics-port",
        type=int,
        metavar="PORT",
        help="without --address: metrics for Prometheus are at 127.0.0.1:PORT/metrics while the command runs",
    )
    add_json_flag(parser)


def add_json_flag(parser: argparse.ArgumentParser) -> None:
    """How a command tells its result."""
    parser.add_argument("--json", action="store_true", help="end with one line of JSON for a scheduler")


def job_from_args(args: argparse.Namespace) -> Job:
    """The job that a command line names, its flags laid over the file."""
    values = {key.removeprefix("key:"): value for key, value in vars(args).items() if key.startswith("key:")}
    return load_job(args.job, {key: value for key, value in values.items() if value is not None})


def run_options_from_args(args: argparse.Namespace) -> RunOptions:
    """How the command is to be carried out.

    Raises:
        ConfigError: a port for metrics that there cannot be.
    """
    port = args.metrics_port
    if port is not None and args.address is not None:
        raise ConfigError(
            "--metrics-port is for Ray on this machine; each machine of a cluster exports its metrics where "
            "'ray start --metrics-export-port' said"
        )
    if port is not None and not 1 <= port <= _MAX_PORT:
        raise ConfigError(f"--metrics-port {port} is not from 1 to {_MAX_PORT}")
    allowed = args.allow_code or os.environ.get("DEEPOT_ALLOW_CODE") == "1"
    redo, retry = (getattr(args, name, False) for name in ("reapply_latest_map", "retry_failed"))
    return RunOptions(args.address, allowed, args.overwrite, redo, retry, make_progress(), port)


def parse_positive_int(text: str) -> int:
    """A whole number from 1 on, for argparse."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1 on")
    return number


def file_with_suffix(suffix: str) -> Callable[[str], str]:
    """For argparse: a file name with the suffix of what is written there."""

    def check_suffix(text: str) -> str:
        if not text.lower().endswith(suffix):
            raise argparse.ArgumentTypeError(f"'{text}' would be a {suffix} file: name it so")
        return text

    return check_suffix


def _parser_for(field: FieldInfo) -> Callable[[str], object]:
    """How the text of a flag is read: as YAML for lists, as it stands for everything else.

    Numbers and booleans are converted by the model, so a name, path or date stays the text that was typed.
    """
    return _parse_list if typing.get_origin(field.annotation) is tuple else str


def _parse_list(text: str) -> object:
    """A list in YAML's flow style, or its only item."""
    if not text.lstrip().startswith("["):
        return [text]
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise argparse.ArgumentTypeError(f"'{redact(text)}' is not a list such as [a, b]") from error


def _describe_default(field: FieldInfo) -> str:
    """What a key is where nobody sets it, as YAML; nothing where it has to be given or stays away."""
    if field.is_required() or field.default in (None, ()) or isinstance(field.default, ConfigSection):
        return ""
    yaml_text = yaml.safe_dump(to_jsonable_python(field.default), default_flow_style=True, width=1000)
    return f" (default: {yaml_text.splitlines()[0]})"


def _iter_keys(section: type[ConfigSection], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in section.model_fields.items():
        inner = _section_type(field.annotation)
        if inner is None:
            yield prefix + name, field
        else:
            if inner.shorthand:
                yield prefix + name, field
            yield from _iter_keys(inner, f"{prefix}{name}.")


def _section_type(annotation: Any) -> type[ConfigSection] | None:  # noqa: ANN401 — any type expression
    """The section that a field holds, through `ConfigSection | None`."""
    for candidate in (annotation, *typing.get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, ConfigSection):
            return candidate
    return None
