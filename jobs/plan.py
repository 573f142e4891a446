"""List the input and write the plan."""

import argparse
from typing import Any

from jobs.console import count_of, print_json, print_line, print_passed_over
from jobs.estimate_output import print_estimate
from jobs.flags import add_job_arguments, job_from_args, number, run_options_from_args, whole_number
from pipeline import estimation, runs, stages
from pipeline.errors import ConfigError

_DEFAULT_PILOT_PHOTOS = 16
_MIB = 2**20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the job and the options of an estimate."""
    parser.add_argument(
        "--estimate",
        nargs="?",
        type=whole_number(1),
        const=_DEFAULT_PILOT_PHOTOS,
        metavar="PHOTOS",
        help="estimate time, cost and storage from a pilot run on this many photos, which keeps no results "
        f"(default: {_DEFAULT_PILOT_PHOTOS})",
    )
    parser.add_argument(
        "--workers",
        type=whole_number(1),
        metavar="NUMBER",
        help="with --estimate: number of workers to estimate for (default: as many as fit now)",
    )
    parser.add_argument(
        "--price-per-hour",
        type=number(0),
        metavar="PRICE",
        help="with --estimate: price of one worker for an hour, in any currency",
    )
    add_job_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Write the plan and print what a run would process."""
    if args.estimate is None and (args.workers is not None or args.price_per_hour is not None):
        raise ConfigError("--workers and --price-per-hour need --estimate: add it")
    context = stages.open_run(job_from_args(args), run_options_from_args(args))
    summary = stages.plan_job(context)
    print_line(f"run      {context.run.uri}")
    print_line(f"photos   {summary.found} ({summary.found_bytes / _MIB:.1f} MiB)")
    shards = count_of(summary.shards, "shard")
    print_line(f"new      {summary.new} ({summary.new_bytes / _MIB:.1f} MiB) in {shards}")
    if summary.missing:
        print_line(f"missing  {summary.missing} that were planned earlier; their results are kept")
    print_passed_over(summary.passed_over)
    _print_unwritable(summary.unwritable)
    record: dict[str, Any] = {
        "run": context.run.uri,
        "images": summary.found,
        "bytes": summary.found_bytes,
        "new": summary.new,
        "new_bytes": summary.new_bytes,
        "shards": summary.shards,
        "missing": summary.missing,
        "passed_over": dict(summary.passed_over),
        "unwritable": summary.unwritable.n_photos,
        "unwritable_names": list(summary.unwritable.first_names),
    }
    if args.estimate is not None:
        estimate = estimation.estimate_job(context, args.estimate, args.workers)
        record["estimate"] = print_estimate(estimate, args.price_per_hour)
    if args.json:
        print_json(**record)
    return 0


def _print_unwritable(found: "runs.UnwritableNames") -> None:
    """Print how many photos have names of formats that are not written, with the first names."""
    if not found.n_photos:
        return
    more = ", …" if found.n_photos > len(found.first_names) else ""
    print_line(
        f"refused  {found.n_photos} by their names: {', '.join(found.format_names)} is read and not written "
        f"({', '.join(found.first_names)}{more}); set output.format, to png for instance"
    )
