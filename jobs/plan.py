"""Dry run: images, bytes and shards, and what is new since the last plan; writes the plan, changes no photo."""

import argparse
from typing import Any

from jobs.console import print_json
from jobs.flags import add_job_arguments, job_from_args, run_options_from_args
from jobs.forecast import print_estimate
from pipeline.errors import ConfigError
from pipeline.estimation import estimate_job
from pipeline.stages import open_run, plan_job

_DEFAULT_PILOT_PHOTOS = 16
_MIB = 2**20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The job, and what else to say of it."""
    parser.add_argument(
        "--estimate",
        nargs="?",
        type=int,
        const=_DEFAULT_PILOT_PHOTOS,
        metavar="PHOTOS",
        help=f"try out so many photos ({_DEFAULT_PILOT_PHOTOS}), keep nothing of them, and tell time, cost and storage",
    )
    parser.add_argument("--workers", type=int, help="for --estimate: that will share the work; those there are now")
    parser.add_argument(
        "--price-per-hour", type=float, metavar="PRICE", help="for --estimate: of one worker, in any currency"
    )
    add_job_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Show what a run would do."""
    _check_args(args)
    context = open_run(job_from_args(args), run_options_from_args(args))
    summary = plan_job(context)
    print(f"run      {context.run.uri}")
    print(f"images   {summary.found} ({summary.found_bytes / _MIB:.1f} MiB)")
    print(f"new      {summary.new} ({summary.new_bytes / _MIB:.1f} MiB) in {summary.shards} shards")
    if summary.missing:
        print(f"missing {summary.missing} that were planned earlier; their results stay")
    record: dict[str, Any] = {
        "run": context.run.uri,
        "images": summary.found,
        "bytes": summary.found_bytes,
        "new": summary.new,
        "new_bytes": summary.new_bytes,
        "shards": summary.shards,
        "missing": summary.missing,
    }
    if args.estimate is not None:
        record["estimate"] = print_estimate(estimate_job(context, args.estimate, args.workers), args.price_per_hour)
    if args.json:
        print_json(**record)
    return 0


def _check_args(args: argparse.Namespace) -> None:
    """See that numbers can be meant.

    Raises:
        ConfigError: they cannot.
    """
    for name, value in (("estimate", args.estimate), ("workers", args.workers)):
        if value is not None and value < 1:
            raise ConfigError(f"--{name} is {value}, it must be at least 1")
    if args.price_per_hour is not None and not 0 <= args.price_per_hour < float("inf"):
        raise ConfigError(f"--price-per-hour is {args.price_per_hour}, it must be a price")
    if args.estimate is None and (args.workers or args.price_per_hour is not None):
        raise ConfigError("--workers and --price-per-hour are for --estimate; give that too")
