"""Totals: what is committed of a run, and the marker of a finished one."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeline.errors import RunError
from pipeline.runs.commits import list_committed_shards, read_commits
from pipeline.runs.missing_inputs import iter_missing_inputs, list_presence_files
from pipeline.runs.paths import RunPaths, require_run
from pipeline.runs.plan import clear_success_marker, count_images_in_plan_file, list_plan_files
from pipeline.storage import utc_timestamp, write


@dataclass(frozen=True)
class RunSummary:
    """The totals of a run.

    Attributes:
        run: URI of the run's folder.
        inputs: images in the plan.
        ok: images done.
        skipped: images left alone on purpose.
        failed: images that failed.
        codes: error codes and how often.
        complete: whether there is a plan and every shard of it is committed.
        missing: photos of the plan that the last listing did not hold.
        done_now: images worked on by this call.
        retried: failed images that this call has tried again, with the others of their shards.
        seconds: that this call took.
        drift: how far the calibration has moved (`pipeline.calibration.drift.Drift.json_fields`); None where nobody asked.
    """

    run: str
    inputs: int
    ok: int
    skipped: int
    failed: int
    codes: dict[str, int]
    complete: bool
    missing: int = 0
    done_now: int = 0
    retried: int = 0
    seconds: float = 0.0
    drift: Mapping[str, object] | None = None

    @property
    def counts(self) -> dict[str, str | int]:
        """What a scheduler is told of any run: run, inputs, ok, skipped, failed, missing."""
        return {key: getattr(self, key) for key in ("run", "inputs", "ok", "skipped", "failed", "missing")}

    @property
    def json_fields(self) -> dict[str, object]:
        """What a scheduler is told of a call: the counts, done_now, retried, seconds and drift."""
        seconds = round(self.seconds, 3)
        now = {"done_now": self.done_now, "retried": self.retried, "seconds": seconds, "drift": self.drift}
        return {**self.counts, **now}

    @property
    def n_committed(self) -> int:
        """Images that are committed, however they went."""
        return self.ok + self.skipped + self.failed

    @property
    def error_rate(self) -> float:
        """Share of failed images."""
        return self.failed / self.inputs if self.inputs else 0.0


class RunProgress:
    """Sums up a run again and again while it grows; each look reads only what is new of its plan and commits."""

    def __init__(self, run: RunPaths) -> None:
        self._run = run
        self._reset()

    def _reset(self) -> None:
        self._plan_files: set[str] = set()
        self._images_per_shard: dict[int, int] = {}
        self._committed: set[int] = set()
        self._presence_files, self._n_missing = list[tuple[int, str]](), 0
        self._status_counts, self._error_codes = Counter[str](), Counter[str]()

    def poll(self) -> RunSummary:
        """What is committed of the run by now.

        Raises:
            RunError: there is no run in that folder.
        """
        run = self._run
        require_run(run)
        numbers = list_committed_shards(run)
        if not self._committed <= numbers:
            self._reset()  # commits were taken back
        for uri in list_plan_files(run):
            if uri not in self._plan_files:
                self._images_per_shard |= count_images_in_plan_file(uri)
                self._plan_files.add(uri)
        if (presence_files := list_presence_files(run)) != self._presence_files:
            self._presence_files, self._n_missing = presence_files, sum(1 for _ in iter_missing_inputs(run))
        for number, files in read_commits(run, numbers - self._committed):
            self._committed.add(number)
            for part in files:
                self._status_counts.update(ok=part.ok, skipped=part.skipped, failed=part.failed)
                self._error_codes.update(part.codes)
        return RunSummary(
            run.uri,
            sum(self._images_per_shard.values()),
            self._status_counts["ok"],
            self._status_counts["skipped"],
            self._status_counts["failed"],
            dict(sorted(self._error_codes.items())),
            complete=bool(self._images_per_shard) and set(self._images_per_shard) == self._committed,
            missing=self._n_missing,
        )


def summarize_run(run: RunPaths) -> RunSummary:
    """What is committed of a run.

    Raises:
        RunError: there is no run in that folder.
    """
    return RunProgress(run).poll()


def finalize_run(run: RunPaths, done_now: int, seconds: float) -> RunSummary:
    """Sum up a run and, where every shard is committed, write its _SUCCESS.json.

    Raises:
        RunError: the commits do not add up to the plan.
    """
    plan_files = list_plan_files(run)
    result = summarize_run(run)
    if result.complete:
        if result.inputs != result.n_committed:
            raise RunError(
                f"{run.uri}: {result.inputs} images were planned, but the commits count "
                f"{result.ok} ok, {result.skipped} skipped and {result.failed} failed"
            )
        record = {key: getattr(result, key) for key in ("inputs", "ok", "skipped", "failed", "codes", "missing")}
        write(run.success_marker, json.dumps(record | {"finished": utc_timestamp()}, sort_keys=True).encode())
        if list_plan_files(run) != plan_files:
            clear_success_marker(run)  # another driver has planned more meanwhile, and finishes it
    return replace(result, done_now=done_now, seconds=seconds)
