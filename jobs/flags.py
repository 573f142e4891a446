"""Command-line flags: one for every key of a job file, and those that several commands share."""

import argparse
import math
import os
from collections.abc import Callable
from pathlib import Path

from jobs.console import make_progress
from pipeline import config, runs, stages, storage
from pipeline.errors import ConfigError

JOB_SUFFIXES = (".yaml", ".yml", ".json")
"""The suffixes of job files."""
_MAX_PORT = 65_535
_MAX_PHOTOS = 1000  # of a page
_KEY_PREFIX = "key:"
SHORT_FLAGS = {
    "calibration.reference": "--reference",
    "calibration.degradation": "--degradation",
    "calibration.restored": "--restored",
    "transport.alpha": "--alpha",
    "transport.strength": "--strength",
    "transport.mode": "--mode",
    "output.format": "--format",
}
"""Key of the job file → another name of its flag."""


def add_job_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the job file, a flag for each of its keys, and the options of a run."""
    parser.add_argument("job", nargs="?", metavar="JOB.yaml", help="the job file; without one the flags are the job")
    add_run_options(parser)
    add_key_flags(parser)


def add_key_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each key of the job file."""
    from jobs.job_keys import describe_key, iter_keys, list_values, value_name

    keys = parser.add_argument_group("keys of the job file", "Each of these flags overrides a key of the job file.")
    for key, field in iter_keys(config.Job):
        flag = keys.add_argument(
            *(f"--{key}", *filter(None, [SHORT_FLAGS.get(key)])),
            metavar=value_name(field),
            dest=f"{_KEY_PREFIX}{key}",
            help=describe_key(field).replace("%", "%%"),
        )
        if values := list_values(field):
            flag.completer = lambda values=values, **_: values  # type: ignore[attr-defined]  # argcomplete reads it


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a run that are not part of a job file."""
    parser.add_argument("--address", help="address of a Ray cluster, or auto (default: this machine alone)")
    add_code_flag(parser)
    parser.add_argument(
        "--overwrite", action="store_true", help="overwrite photos in the output folder that this run did not write"
    )
    parser.add_argument(
        "--metrics-port",
        type=whole_number(1, _MAX_PORT),
        metavar="PORT",
        help="serve Prometheus metrics at 127.0.0.1:PORT/metrics while the command runs, on Ray; not with --address",
    )
    add_json_flag(parser)


def add_code_flag(parser: argparse.ArgumentParser) -> None:
    """Add --allow-code."""
    parser.add_argument(
        "--allow-code", action="store_true", help="allow module:factory in the job, which imports and runs that module"
    )


def add_photo_count_flag(parser: argparse.ArgumentParser, default: int) -> None:
    """Add --photos, the number of photos of a page."""
    parser.add_argument(
        "--photos",
        type=whole_number(1, _MAX_PHOTOS),
        default=default,
        metavar="NUMBER",
        help="number of photos that the page shows (default: %(default)s, about 0.4 MB each)",
    )


def add_page_flag(parser: argparse.ArgumentParser, default: str, *other_names: str) -> None:
    """Add --page, the file of a page."""
    parser.add_argument(
        "--page",
        *other_names,
        type=file_with_suffix(".html"),
        default=default,
        metavar="FILE.html",
        help="the page (default: %(default)s)",
    )


def add_run_argument(parser: argparse.ArgumentParser) -> None:
    """Add the run, as its folder or its job file."""
    parser.add_argument(
        "run", metavar="RUN", help="folder of the run, the one that contains run.json, or the job file of the run"
    )


def add_json_flag(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help="print one line of JSON at the end, for schedulers")


def job_from_args(args: argparse.Namespace) -> "config.Job":
    """Return the job that the command line names: its job file with the flags applied, or the flags alone.

    Raises:
        ConfigError: the job file or a flag is not valid, or there is neither.
    """
    overrides = key_values(args)
    if args.job is None and not overrides:
        raise ConfigError(
            "name a job file, or give the job as flags: --input, --output, and --degradation, --reference or --map"
        )
    return config.load_job(args.job, overrides)


def key_values(args: argparse.Namespace) -> dict[str, object]:
    """Return the keys of the job file that the command line gives, with their values.

    Raises:
        ConfigError: a value is not one that its key can have.
    """
    from jobs.job_keys import iter_keys, parse_value

    fields = dict(iter_keys(config.Job))
    texts = {key.removeprefix(_KEY_PREFIX): text for key, text in vars(args).items() if key.startswith(_KEY_PREFIX)}
    given = {key: "--" if text == [] else text for key, text in texts.items()}  # argparse drops a value of two dashes
    return {
        key: parse_value(SHORT_FLAGS.get(key, f"--{key}"), fields[key], text)
        for key, text in given.items()
        if text is not None
    }


def run_from_args(args: argparse.Namespace) -> "runs.RunPaths":
    """Return the paths of the run that the command line names by its folder or its job file.

    Raises:
        ConfigError: it names another file.
        RunError: the job has no run yet.
    """
    path = Path(args.run)
    if path.is_file():
        if path.suffix.lower() not in JOB_SUFFIXES:
            raise ConfigError(f"{args.run} is a file: name the folder of a run, or a job file (.yaml)")
        return runs.find_run_of_job(config.load_job(path))
    return runs.RunPaths(storage.absolute_uri(args.run).rstrip("/"))


def run_options_from_args(args: argparse.Namespace) -> "stages.RunOptions":
    """Return the options of a run; those that a command does not have keep their defaults.

    Raises:
        ConfigError: a metrics port together with a cluster's address.
    """
    given = vars(args)
    if given.get("metrics_port") is not None and given.get("address") is not None:
        raise ConfigError(
            "--metrics-port works only with Ray on this machine; with --address leave it out and read the metrics of "
            "each node from the port given to 'ray start --metrics-export-port'"
        )
    return stages.RunOptions(
        address=given.get("address"),
        allow_code=args.allow_code or os.environ.get("DEEPOT_ALLOW_CODE") == "1",
        overwrite=given.get("overwrite", False),
        reapply_latest_map=given.get("reapply_latest_map", False),
        retry_failed=given.get("retry_failed", False),
        progress=make_progress(),
        metrics_port=given.get("metrics_port"),
        decisions=given.get("decisions"),
        fork_workers=True,  # the program has only parsed its command line so far
    )


def whole_number(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """Return an argparse type for whole numbers from `minimum` to `maximum`."""
    span = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = minimum - 1
        if number < minimum or (maximum is not None and number > maximum):
            raise argparse.ArgumentTypeError(f"'{text}' is not possible: give a whole number {span}")
        return number

    return parse


def number(minimum: float, maximum: float = math.inf) -> Callable[[str], float]:
    """Return an argparse type for finite numbers from `minimum` to `maximum`."""
    span = f"of at least {minimum:g}" if maximum == math.inf else f"from {minimum:g} to {maximum:g}"

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (minimum <= value <= maximum and math.isfinite(value)):
            raise argparse.ArgumentTypeError(f"'{text}' is not possible: give a number {span}")
        return value

    return parse


def file_with_suffix(suffix: str) -> Callable[[str], str]:
    """Return an argparse type for names of files with a suffix."""

    def check_suffix(text: str) -> str:
        if not text.lower().endswith(suffix):
            raise argparse.ArgumentTypeError(f"'{text}' would be a {suffix} file: give a name that ends with {suffix}")
        return text

    return check_suffix
