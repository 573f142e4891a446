"""How far a run is, from its commits; with --watch, again and again until it is complete."""

import argparse
import sys
import time
from datetime import timedelta

from jobs.console import show_codes, show_json, show_vanished
from jobs.flags import add_output
from pipeline.runs.paths import Run
from pipeline.runs.summary import Result, Tally
from pipeline.storage.objects import absolute
from pipeline.telemetry.throughput import Pace

_EVERY_S = 10.0
_BACK = "\x1b[{}F\x1b[J"  # to the beginning of a line further up, and nothing below it


def add(parser: argparse.ArgumentParser) -> None:
    """The run's folder."""
    parser.add_argument("run", metavar="RUN", help="folder of the run, the one with run.json")
    parser.add_argument(
        "--watch",
        nargs="?",
        type=_seconds,
        const=_EVERY_S,
        metavar="SECONDS",
        help=f"look again every so many seconds ({_EVERY_S:.0f}) until the run is complete",
    )
    add_output(parser)


def main(options: argparse.Namespace) -> int:
    """Print the totals of a run, once or until it is complete."""
    tally = Tally(Run(absolute(options.run).rstrip("/")))
    result = tally.look()
    if options.watch is None:
        _show(result)
        if options.json:
            show_json(**result.counts, complete=result.complete, codes=result.codes)
    else:
        _watch(tally, result, options.watch, options.json)
    return 0


def _show(result: Result) -> None:
    print(f"run      {result.run}")
    print(f"done     {result.done} of {result.inputs}: {_status(result)}")
    show_codes(result)
    show_vanished(result)
    print("complete" if result.complete else "not complete: the same 'deepot run' goes on with it")


def _watch(tally: Tally, result: Result, every_s: float, as_json: bool) -> None:
    """A line a look, and why images were not done; on a terminal the latest look replaces the one before."""
    pace, shown = Pace(), 0
    while True:
        pace.look(time.monotonic(), result.done)
        rate, left_s = pace.images_per_s, pace.left_s(result.inputs - result.done)
        if as_json:
            told = {"images_per_s": rate and round(rate, 3), "left_s": left_s and round(left_s)}
            show_json(**result.counts, complete=result.complete, codes=result.codes, **told)
        else:
            lines = _lines(result, rate, left_s)
            print((_BACK.format(shown) if shown else "") + "\n".join(lines), flush=True)
            shown = len(lines) if sys.stdout.isatty() else 0
        if result.complete:
            return
        time.sleep(every_s)
        result = tally.look()


def _lines(result: Result, rate: float | None, left_s: float | None) -> list[str]:
    share = result.done / result.inputs if result.inputs else 0.0
    speed = "" if rate is None else f", {rate:.3g} images/s"
    if left_s:
        speed += f", {timedelta(seconds=round(left_s))} left"
    head = f"{time.strftime('%H:%M:%S')} {result.done} of {result.inputs} ({share:.1%}): {_status(result)}{speed}"
    return [head, *(f"         {count} × {code}" for code, count in result.codes.items())]


def _status(result: Result) -> str:
    return f"{result.ok} ok, {result.skipped} skipped, {result.failed} failed"


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.1 <= seconds < 86_400:
        raise argparse.ArgumentTypeError(f"{text} is not from 0.1 to 86400 seconds")
    return seconds
