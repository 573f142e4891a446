"""How far a run is, from its commits; with --watch, again and again until it is complete."""

import argparse
import sys
import time
from datetime import timedelta

from jobs.console import print_error_codes, print_json, print_missing_count
from jobs.flags import add_json_flag
from pipeline.runs import RunPaths, RunProgress, RunSummary
from pipeline.storage import absolute_uri
from pipeline.telemetry import ThroughputMeter

_WATCH_INTERVAL_S = 10.0
_MOVE_UP_AND_CLEAR = "\x1b[{}F\x1b[J"  # to the beginning of a line further up, and nothing below it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run's folder."""
    parser.add_argument("run", metavar="RUN", help="folder of the run, the one with run.json")
    parser.add_argument(
        "--watch",
        nargs="?",
        type=_parse_interval_s,
        const=_WATCH_INTERVAL_S,
        metavar="SECONDS",
        help=f"look again every so many seconds ({_WATCH_INTERVAL_S:.0f}) until the run is complete",
    )
    add_json_flag(parser)


def main(args: argparse.Namespace) -> int:
    """Print the totals of a run, once or until it is complete."""
    progress = RunProgress(RunPaths(absolute_uri(args.run).rstrip("/")))
    result = progress.poll()
    if args.watch is None:
        _print_status(result)
        if args.json:
            print_json(**result.counts, complete=result.complete, codes=result.codes)
    else:
        _watch(progress, result, args.watch, args.json)
    return 0


def _print_status(result: RunSummary) -> None:
    print(f"run      {result.run}")
    print(f"done     {result.n_committed} of {result.inputs}: {_format_counts(result)}")
    print_error_codes(result)
    print_missing_count(result)
    print("complete" if result.complete else "not complete: the same 'deepot run' goes on with it")


def _watch(progress: RunProgress, result: RunSummary, interval_s: float, as_json: bool) -> None:
    """A line a look, and why images were not done; on a terminal the latest look replaces the one before."""
    throughput, n_lines_shown = ThroughputMeter(), 0
    while True:
        throughput.add(time.monotonic(), result.n_committed)
        rate, left_s = throughput.images_per_s, throughput.remaining_s(result.inputs - result.n_committed)
        if as_json:
            rates = {"images_per_s": rate and round(rate, 3), "left_s": left_s and round(left_s)}
            print_json(**result.counts, complete=result.complete, codes=result.codes, **rates)
        else:
            lines = _format_lines(result, rate, left_s)
            print((_MOVE_UP_AND_CLEAR.format(n_lines_shown) if n_lines_shown else "") + "\n".join(lines), flush=True)
            n_lines_shown = len(lines) if sys.stdout.isatty() else 0
        if result.complete:
            return
        time.sleep(interval_s)
        result = progress.poll()


def _format_lines(result: RunSummary, rate: float | None, left_s: float | None) -> list[str]:
    fraction_done = result.n_committed / result.inputs if result.inputs else 0.0
    speed = "" if rate is None else f", {rate:.3g} images/s"
    if left_s:
        speed += f", {timedelta(seconds=round(left_s))} left"
    head = f"{time.strftime('%H:%M:%S')} {result.n_committed} of {result.inputs} ({fraction_done:.1%}): {_format_counts(result)}{speed}"
    return [head, *(f"         {count} × {code}" for code, count in result.codes.items())]


def _format_counts(result: RunSummary) -> str:
    return f"{result.ok} ok, {result.skipped} skipped, {result.failed} failed"


def _parse_interval_s(text: str) -> float:
    seconds = float(text)
    if not 0.1 <= seconds < 86_400:
        raise argparse.ArgumentTypeError(f"{text} is not from 0.1 to 86400 seconds")
    return seconds
