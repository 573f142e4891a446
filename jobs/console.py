"""Progress bars, summaries and errors on the terminal, and the line of JSON for schedulers."""

import os
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TextIO

from jobs.log_output import LoggedProgress
from pipeline import runs, sources, storage
from pipeline.errors import ErrorCode, advice_for
from pipeline.escaping import escape, to_json_line
from pipeline.progress import NullProgress, Progress
from pipeline.telemetry import LogFormat, current_log_format

if TYPE_CHECKING:
    from tqdm import tqdm

_MAX_FAILURES, _MAX_SKIPPED = 10, 10
_MOVE_UP_AND_CLEAR = "\x1b[{}F\x1b[J"  # to the start of a line further up, and clear everything below


class ProgressBars:
    """Progress bars on standard error with the count, the rate, the time left and the failures of a stage."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._failed = 0

    def begin(self, stage: str, total: int) -> None:
        """Show a new bar for a stage of `total` images."""
        from tqdm import tqdm

        self._failed = 0
        interval_s = 0.2 if sys.stderr.isatty() else 10.0  # few lines where standard error is a log file
        self._bar = tqdm(
            total=total, desc=f"{stage:10}", unit=" photos", file=sys.stderr, dynamic_ncols=True, mininterval=interval_s
        )

    def advance(self, images: int, failed: int) -> None:
        """Add images to the bar, `failed` of which failed."""
        if self._bar is not None:
            self._failed += failed
            if self._failed:
                self._bar.set_postfix_str(f"{self._failed} failed", refresh=False)
            self._bar.update(images)

    def end(self) -> None:
        """Close the bar and leave its last state on the screen."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


_PROGRESS_BARS = ProgressBars()
_quiet = False


class Color(StrEnum):
    """A colour of text on a terminal, as the escape sequence that sets it."""

    RED = "\x1b[31m"
    GREEN = "\x1b[32m"


_RESET_COLOR = "\x1b[0m"


@contextmanager
def quiet_output(quiet: bool) -> Iterator[None]:
    """Within the context print neither `print_line`'s lines nor progress if `quiet`; results and errors are printed."""
    global _quiet
    previous, _quiet = _quiet, quiet
    try:
        yield
    finally:
        _quiet = previous


def print_line(line: str, color: Color | None = None) -> None:
    """Print a line on standard output, unless it is quiet; a name in it cannot end it, nor control the terminal."""
    if not _quiet:
        print_result(line, color)


def print_result(line: str, color: Color | None = None) -> None:
    """Print a line that the command was called for, such as a line of a file's text, even if output is quiet."""
    _write(_paint(escape(line), color, sys.stdout))


def flush_output() -> None:
    """Write what standard output holds back, before the command reports how it ended."""
    with ended_by_reader():
        sys.stdout.flush()


def _write(text: str, *, flush: bool = False) -> None:
    with ended_by_reader():
        print(text, flush=flush)


@contextmanager
def ended_by_reader() -> Iterator[None]:
    """Within the context end the command, as SIGPIPE would, if a reader such as `head` has closed standard output."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the interpreter flushes once more at its end
        raise SystemExit(128 + signal.SIGPIPE) from None


def print_error(line: str) -> None:
    """Print a line on standard error, below the bar of the interrupted stage, as `print_line` does."""
    _PROGRESS_BARS.end()
    print(_paint(escape(line), Color.RED, sys.stderr), file=sys.stderr)


def _paint(text: str, color: Color | None, stream: TextIO) -> str:
    """Return the text in a colour if the stream is a terminal and NO_COLOR (no-color.org) is not set."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty()
    return text if plain or color is None else f"{color}{text}{_RESET_COLOR}"


def print_update(lines: Sequence[str], replaced_lines: int) -> None:
    """Print lines at once, on a terminal in place of the last `replaced_lines` lines if that is not 0."""
    move = _MOVE_UP_AND_CLEAR.format(replaced_lines) if replaced_lines else ""
    if not _quiet:
        _write(move + "\n".join(map(escape, lines)), flush=True)


def make_progress() -> Progress:
    """Return progress bars, progress as log lines if the log format is JSON, or none if output is quiet."""
    if _quiet:
        return NullProgress()
    return LoggedProgress() if current_log_format() is LogFormat.JSON else _PROGRESS_BARS


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is 1."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def print_summary(result: "runs.RunSummary", as_json: bool, max_error_rate: float) -> int:
    """Print the totals of a run and return the exit status: 1 if more than `max_error_rate` of the images failed."""
    print_line(f"run      {result.run}")
    print_line(
        f"photos   {result.inputs}: {result.outcomes}" + ("" if result.complete else " so far; the run is not complete")
    )
    _print_untouched(result)
    print_error_codes(result)
    _print_failures(result)
    print_missing_count(result)
    print_passed_over(result.passed_over)
    print_drift(result.drift)
    if result.retried:
        print_line(f"retried  {result.retried} failed photos, together with the rest of their shards")
    print_line(f"took     {result.seconds:.1f} s for {count_of(result.done_now, 'photo')}")
    if storage.exists(report := runs.RunPaths(result.run).report):
        print_line(f"report   {report}")
    if as_json:
        print_json(**result.json_fields)
    return int(result.error_rate > max_error_rate)


def _print_untouched(result: "runs.RunSummary") -> None:
    """Point out that most photos were left as they are, which may be a mistake in the job."""
    natural = result.untouched - result.codes.get(ErrorCode.RESTORER_OUTPUT, 0)
    if 2 * natural > result.ok:
        print_line(
            f"natural  {natural} of {result.ok} photos look natural already and were left as they are. If "
            "they do not, another degradation is theirs: correct calibration.degradation, or transport all photos with "
            "--transport.leave_natural off"
        )


def _print_failures(result: "runs.RunSummary") -> None:
    """Print the first failed images, and how to list all of them."""
    if not result.failed:
        return
    for row in runs.list_failures(runs.RunPaths(result.run), _MAX_FAILURES):
        print_line(f"failed   {row['file_name']}: {row['error_code']}: {row['error_message']}", Color.RED)
    if result.failed > _MAX_FAILURES:
        where = "--where \"status = 'failed'\""
        print_line(f"         … {result.failed - _MAX_FAILURES} more: deepot select {shlex.quote(result.run)} {where}")


def print_error_codes(result: "runs.RunSummary") -> None:
    """Print how many images were skipped or failed for each error code, and what to do about it."""
    for code, count in result.codes.items():
        advice = advice_for(code)
        print_line(f"         {count} × {code}: {advice.meaning} {advice.action}")


def print_skipped(first: Sequence[tuple[str, str]], count: int) -> None:
    """Print the first of the photos that an export has left out, each with the reason, and how many more there are."""
    for name, reason in first[:_MAX_SKIPPED]:
        print_line(f"skipped  {name}: {reason}")
    if count > _MAX_SKIPPED:
        print_line(f"skipped  … {count - _MAX_SKIPPED} more")


def print_missing_count(result: "runs.RunSummary") -> None:
    """Print how many planned photos are missing from the input."""
    if result.missing:
        print_line(f"         {result.missing} photos are missing from the input now; their results are kept")


def print_passed_over(counts: Mapping[str, int]) -> None:
    """Print how many files of the input are no images to work on, by kind."""
    if counts:
        print_line(f"passed over: {sources.describe_passed_over(counts)}")


def print_drift(drift: Mapping[str, object] | None) -> None:
    """Print how far the restored side of the calibration has drifted, if there are new calibration photos."""
    if drift and drift["new_images"]:
        print_line(
            f"drift    {drift['new_images']} new calibration photos; they move the restored side by "
            f"{drift['relative_drift']:.1%} of the map distance"
            + ("; the map was fitted again" if drift["refitted"] else "")
        )


def print_json(**values: object) -> None:
    """Print one line of JSON for a scheduler."""
    _write(to_json_line(values), flush=True)
