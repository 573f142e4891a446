"""Show the progress of a run, once or with --watch until it is complete."""

import argparse
import sys
import time
from datetime import timedelta

from jobs.console import print_error_codes, print_json, print_line, print_missing_count, print_update
from jobs.flags import add_json_flag, add_run_argument, number, run_from_args
from pipeline import runs
from pipeline.telemetry import ThroughputMeter

_WATCH_INTERVAL_S = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run and --watch."""
    add_run_argument(parser)
    parser.add_argument(
        "--watch",
        nargs="?",
        type=number(0.1, 86_400),
        const=_WATCH_INTERVAL_S,
        metavar="SECONDS",
        help=f"update at this interval until the run is complete (default: {_WATCH_INTERVAL_S:.0f})",
    )
    add_json_flag(parser)


def main(args: argparse.Namespace) -> int:
    """Print the totals of a run, once or until it is complete."""
    progress = runs.RunProgress(run_from_args(args))
    result = progress.poll()
    if args.watch is None:
        _print_status(result)
        if args.json:
            print_json(**result.counts, complete=result.complete, codes=result.codes)
    else:
        _watch(progress, result, args.watch, args.json)
    return 0


def _print_status(result: "runs.RunSummary") -> None:
    print_line(f"run      {result.run}")
    print_line(f"done     {result.n_committed} of {result.inputs}: {result.outcomes}")
    print_error_codes(result)
    print_missing_count(result)
    print_line("complete" if result.complete else "not complete: run the same 'deepot run' again to resume")


def _watch(progress: "runs.RunProgress", result: "runs.RunSummary", interval_s: float, as_json: bool) -> None:
    """Print one update per interval until the run is complete; on a terminal each replaces the one before."""
    throughput, n_lines_shown = ThroughputMeter(), 0
    while True:
        throughput.add(time.monotonic(), result.n_committed)
        rate, remaining_s = throughput.images_per_s, throughput.remaining_s(result.inputs - result.n_committed)
        if as_json:
            rates = {"images_per_s": rate and round(rate, 3), "remaining_s": remaining_s and round(remaining_s)}
            print_json(**result.counts, complete=result.complete, codes=result.codes, **rates)
        else:
            lines = _format_lines(result, rate, remaining_s)
            print_update(lines, n_lines_shown)
            n_lines_shown = len(lines) if sys.stdout.isatty() else 0
        if result.complete:
            return
        time.sleep(interval_s)
        result = progress.poll()


def _format_lines(result: "runs.RunSummary", rate: float | None, remaining_s: float | None) -> list[str]:
    """Return a line with the counts and the rate, and a line for each error code."""
    fraction_done = result.n_committed / result.inputs if result.inputs else 0.0
    speed = "" if rate is None else f", {rate:.3g} photos/s"
    if remaining_s:
        speed += f", {timedelta(seconds=round(remaining_s))} left"
    done = f"{result.n_committed} of {result.inputs} ({fraction_done:.1%})"
    head = f"{time.strftime('%H:%M:%S')} {done}: {result.outcomes}{speed}"
    return [head, *(f"         {count} × {code}" for code, count in result.codes.items())]
