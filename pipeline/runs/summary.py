"""The totals of a run, and _SUCCESS.json of a complete one."""

import json
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pipeline.errors import RunError
from pipeline.runs.commits import CommitListing, list_commits
from pipeline.runs.missing_inputs import iter_missing_inputs, list_presence_files
from pipeline.runs.paths import RunPaths, require_run
from pipeline.runs.plan import clear_success_marker, list_plan_files
from pipeline.runs.plan_file import count_images_in_plan_file
from pipeline.runs.segments import iter_shard_commits
from pipeline.runs.shard_counts import ShardCounts
from pipeline.runs.shard_set import ShardSet
from pipeline.storage import utc_timestamp, write


@dataclass(frozen=True)
class RunSummary:
    """The totals of a run.

    Attributes:
        run: URI of the run's folder.
        inputs: planned images.
        ok: processed images.
        skipped: images that were left alone on purpose.
        failed: images that failed.
        codes: error codes and how often each occurs.
        complete: whether there is a plan and every shard of it is committed.
        missing: planned photos that the latest listing lacks.
        done_now: images that this call has processed.
        retried: failed images that this call has tried again, along with the others of their shards.
        seconds: the duration of this call.
        passed_over: files of the input that are no images to work on, by kind; empty if this call did not list it.
        rejected: photos that a review has rejected; their results have the bytes of their inputs.
        untouched: those of the ok photos that looked natural already and keep every sample.
        drift: the drift of the calibration (`pipeline.calibration.Drift.json_fields`); None if it was not measured.
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
    passed_over: Mapping[str, int] = field(default_factory=dict)
    rejected: int = 0
    untouched: int = 0

    @property
    def counts(self) -> dict[str, str | int]:
        """The JSON fields of every run: run, inputs, ok, untouched, rejected, skipped, failed, missing."""
        names = ("run", "inputs", "ok", "untouched", "rejected", "skipped", "failed", "missing")
        return {name: getattr(self, name) for name in names}

    @property
    def json_fields(self) -> dict[str, object]:
        """The JSON fields of a finished command: the counts, done_now, retried, seconds, drift and passed_over."""
        seconds = round(self.seconds, 3)
        now = {"done_now": self.done_now, "retried": self.retried, "seconds": seconds, "drift": self.drift}
        return {**self.counts, **now, "passed_over": dict(self.passed_over)}

    @property
    def n_committed(self) -> int:
        """Committed images of any status."""
        return self.ok + self.rejected + self.skipped + self.failed

    @property
    def outcomes(self) -> str:
        """The counts as text: "5 ok (2 untouched), 1 rejected, 0 skipped, 0 failed"; only what there is."""
        untouched = f" ({self.untouched} untouched)" if self.untouched else ""
        rejected = f"{self.rejected} rejected, " if self.rejected else ""
        return f"{self.ok} ok{untouched}, {rejected}{self.skipped} skipped, {self.failed} failed"

    @property
    def error_rate(self) -> float:
        """The fraction of failed images, in [0, 1]."""
        return self.failed / self.inputs if self.inputs else 0.0


_COUNTED = ("ok", "untouched", "rejected", "skipped", "failed")  # of a manifest file


class RunProgress:
    """Totals of a run that is in progress; each poll reads only the plan files and commits that are new."""

    def __init__(self, run: RunPaths) -> None:
        self._run = run
        self._reset()

    def _reset(self) -> None:
        self._plan_files: set[str] = set()
        self._images_per_shard = ShardCounts()
        self._committed = ShardSet()
        self._presence_files, self._n_missing = list[tuple[int, str]](), 0
        self._status_counts, self._error_codes = Counter[str](), Counter[str]()

    def poll(self) -> RunSummary:
        """Return the totals of what is committed now.

        Raises:
            RunError: the folder is not that of a run.
        """
        require_run(self._run)
        listing = list_commits(self._run)
        if not self._committed <= listing.shards:
            self._reset()  # shards were requeued
        self._read_new_plan_files()
        self._read_commits(listing.only(listing.shards - self._committed))
        counts = self._status_counts
        return RunSummary(
            self._run.uri,
            self._images_per_shard.total,
            counts["ok"],
            counts["skipped"],
            counts["failed"],
            dict(sorted(self._error_codes.items())),
            complete=bool(self._images_per_shard) and self._images_per_shard.shards == self._committed,
            missing=self._n_missing,
            rejected=counts["rejected"],
            untouched=counts["untouched"],
        )

    def _read_new_plan_files(self) -> None:
        new = [uri for uri in list_plan_files(self._run) if uri not in self._plan_files]
        counts = [self._images_per_shard, *map(count_images_in_plan_file, new)] if new else []
        if counts:
            self._images_per_shard = ShardCounts((each.shards.numbers, each.images) for each in counts)
        self._plan_files.update(new)
        if (presence_files := list_presence_files(self._run)) != self._presence_files:
            self._presence_files, self._n_missing = presence_files, sum(1 for _ in iter_missing_inputs(self._run))

    def _read_commits(self, listing: CommitListing) -> None:
        found = array("q")
        for number, commit in iter_shard_commits(self._run, listing):
            found.append(number)
            for file in commit.files:
                self._status_counts.update({name: getattr(file, name) for name in _COUNTED})
                self._error_codes.update(file.codes)
        self._committed |= ShardSet(found)


def summarize_run(run: RunPaths) -> RunSummary:
    """Return the totals of what is committed of a run.

    Raises:
        RunError: the folder is not that of a run.
    """
    return RunProgress(run).poll()


def finalize_run(run: RunPaths, done_now: int, seconds: float) -> RunSummary:
    """Sum up a run, and write _SUCCESS.json if every shard is committed.

    Args:
        run: the run.
        done_now: images that this call has processed.
        seconds: the duration of this call.

    Raises:
        RunError: the commits do not add up to the plan.
    """
    plan_files = list_plan_files(run)
    summary = summarize_run(run)
    if summary.complete:
        if summary.inputs != summary.n_committed:
            raise RunError(
                f"{run.uri}: {summary.inputs} images are planned, but {summary.n_committed} are committed "
                f"({summary.outcomes}); this is an error in deepot, "
                "please report it"
            )
        record = {key: getattr(summary, key) for key in ("inputs", *_COUNTED, "codes", "missing")}
        write(run.success_marker, json.dumps(record | {"finished": utc_timestamp()}, sort_keys=True).encode())
        if list_plan_files(run) != plan_files:
            clear_success_marker(run)  # another driver has extended the plan meanwhile, and will finish it
    return replace(summary, done_now=done_now, seconds=seconds)
