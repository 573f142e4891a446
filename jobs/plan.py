"""Dry run: images, bytes and shards, and what is new since the last plan; writes the plan, changes no photo."""

import argparse
from typing import Any

from jobs.console import show_json
from jobs.flags import add_job, how_of, job_of
from jobs.forecast import show_forecast
from pipeline.errors import ConfigError
from pipeline.estimation.estimate import estimate
from pipeline.stages.driver import open_run, plan_job

_PHOTOS = 16
_MIB = 2**20


def add(parser: argparse.ArgumentParser) -> None:
    """The job, and what else to say of it."""
    parser.add_argument(
        "--estimate",
        nargs="?",
        type=int,
        const=_PHOTOS,
        metavar="PHOTOS",
        help=f"try out so many photos ({_PHOTOS}), keep nothing of them, and tell time, cost and storage",
    )
    parser.add_argument("--workers", type=int, help="for --estimate: that will share the work; those there are now")
    parser.add_argument(
        "--price-per-hour", type=float, metavar="PRICE", help="for --estimate: of one worker, in any currency"
    )
    add_job(parser)


def main(options: argparse.Namespace) -> int:
    """Show what a run would do."""
    _check(options)
    opened = open_run(job_of(options), how_of(options))
    ahead = plan_job(opened)
    print(f"run      {opened.run.uri}")
    print(f"images   {ahead.found} ({ahead.found_bytes / _MIB:.1f} MiB)")
    print(f"new      {ahead.new} ({ahead.new_bytes / _MIB:.1f} MiB) in {ahead.shards} shards")
    if ahead.vanished:
        print(f"vanished {ahead.vanished} that were planned earlier; their results stay")
    told: dict[str, Any] = {
        "run": opened.run.uri,
        "images": ahead.found,
        "bytes": ahead.found_bytes,
        "new": ahead.new,
        "new_bytes": ahead.new_bytes,
        "shards": ahead.shards,
        "vanished": ahead.vanished,
    }
    if options.estimate is not None:
        told["estimate"] = show_forecast(estimate(opened, options.estimate, options.workers), options.price_per_hour)
    if options.json:
        show_json(**told)
    return 0


def _check(options: argparse.Namespace) -> None:
    """See that numbers can be meant.

    Raises:
        ConfigError: they cannot.
    """
    for name, value in (("estimate", options.estimate), ("workers", options.workers)):
        if value is not None and value < 1:
            raise ConfigError(f"--{name} is {value}, it must be at least 1")
    if options.price_per_hour is not None and not 0 <= options.price_per_hour < float("inf"):
        raise ConfigError(f"--price-per-hour is {options.price_per_hour}, it must be a price")
    if options.estimate is None and (options.workers or options.price_per_hour is not None):
        raise ConfigError("--workers and --price-per-hour are for --estimate; give that too")
