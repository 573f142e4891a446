"""Console: progress bars, results and errors as a person or a scheduler reads them."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from tqdm import tqdm

from jobs.lines import LoggedProgress
from pipeline.errors import advice_for
from pipeline.progress import Progress
from pipeline.runs import RunSummary
from pipeline.telemetry import LogFormat, current_log_format


class ProgressBars:
    """Progress on standard error: images done of all, images a second, time left, failures."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._failed = 0

    def begin(self, stage: str, total: int) -> None:
        """A new bar."""
        self._failed = 0
        interval_s = 0.2 if sys.stderr.isatty() else 10.0  # a log file gets a line now and then
        self._bar = tqdm(
            total=total, desc=f"{stage:10}", unit=" images", file=sys.stderr, dynamic_ncols=True, mininterval=interval_s
        )

    def advance(self, images: int, failed: int) -> None:
        """Move the bar on."""
        if self._bar is not None:
            self._failed += failed
            if self._failed:
                self._bar.set_postfix_str(f"{self._failed} failed", refresh=False)
            self._bar.update(images)

    def end(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


_PROGRESS_BARS = ProgressBars()


def print_error(line: str) -> None:
    """A line on standard error of its own, below the bar of a stage that has broken off."""
    _PROGRESS_BARS.end()
    print(line, file=sys.stderr)


def make_progress() -> Progress:
    """How progress is shown: bars, or log lines where those are JSON."""
    return LoggedProgress() if current_log_format() is LogFormat.JSON else _PROGRESS_BARS


def print_summary(result: RunSummary, as_json: bool, max_error_rate: float) -> int:
    """Print the totals of a run; returns the exit status."""
    print(f"run      {result.run}")
    print(
        f"images   {result.inputs}: {result.ok} ok, {result.skipped} skipped, {result.failed} failed"
        + ("" if result.complete else " so far; the run is not complete")
    )
    print_error_codes(result)
    print_missing_count(result)
    print_drift(result.drift)
    if result.retried:
        print(f"retried  {result.retried} failed images, with the others of their shards")
    print(f"now      {result.done_now} images in {result.seconds:.1f} s")
    if as_json:
        print_json(**result.json_fields)
    return int(result.error_rate > max_error_rate)


def print_error_codes(result: RunSummary) -> None:
    """Print why images were not done, and how many."""
    for code, count in result.codes.items():
        advice = advice_for(code)
        print(f"         {count} × {code}: {advice.meaning} {advice.action}")


def print_missing_count(result: RunSummary) -> None:
    """Print how many photos are no longer where they came from."""
    if result.missing:
        print(f"         {result.missing} of them have missing since; their results stay")


def print_drift(drift: Mapping[str, object] | None) -> None:
    """Print how far the photos of the calibration have moved, where there are new ones."""
    if drift and drift["new_images"]:
        print(
            f"drift    {drift['new_images']} new calibration photos; with them the restored side has moved by "
            f"{drift['relative_drift']:.1%} of the map's way"
            + ("; the map was fitted again" if drift["refitted"] else "")
        )


def print_json(**values: object) -> None:
    """The line that a scheduler reads."""
    print(json.dumps(values), flush=True)
