"""Totals: what is committed of a run, and the marker of a finished one."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeline.errors import RunError
from pipeline.runs.commits import committed_numbers, read_commits
from pipeline.runs.missing_inputs import mark_parts, vanished
from pipeline.runs.paths import Run, check_run
from pipeline.runs.plan import plan_parts, planned_in, unfinish
from pipeline.storage.objects import now, put


@dataclass(frozen=True)
class Result:
    """The totals of a run.

    Attributes:
        run: URI of the run's folder.
        inputs: images in the plan.
        ok: images done.
        skipped: images left alone on purpose.
        failed: images that failed.
        codes: error codes and how often.
        complete: whether there is a plan and every shard of it is committed.
        vanished: photos of the plan that the last listing did not hold.
        done_now: images worked on by this call.
        retried: failed images that this call has tried again, with the others of their shards.
        seconds: that this call took.
        drift: how far the calibration has moved (`pipeline.calibration.drift.Drift.told`); None where nobody asked.
    """

    run: str
    inputs: int
    ok: int
    skipped: int
    failed: int
    codes: dict[str, int]
    complete: bool
    vanished: int = 0
    done_now: int = 0
    retried: int = 0
    seconds: float = 0.0
    drift: Mapping[str, object] | None = None

    @property
    def counts(self) -> dict[str, str | int]:
        """What a scheduler is told of any run: run, inputs, ok, skipped, failed, vanished."""
        return {key: getattr(self, key) for key in ("run", "inputs", "ok", "skipped", "failed", "vanished")}

    @property
    def told(self) -> dict[str, object]:
        """What a scheduler is told of a call: the counts, done_now, retried, seconds and drift."""
        seconds = round(self.seconds, 3)
        now = {"done_now": self.done_now, "retried": self.retried, "seconds": seconds, "drift": self.drift}
        return {**self.counts, **now}

    @property
    def done(self) -> int:
        """Images that are committed, however they went."""
        return self.ok + self.skipped + self.failed

    @property
    def error_rate(self) -> float:
        """Share of failed images."""
        return self.failed / self.inputs if self.inputs else 0.0


class Tally:
    """Sums up a run again and again while it grows; each look reads only what is new of its plan and commits."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._forget()

    def _forget(self) -> None:
        self._parts: set[str] = set()
        self._planned: dict[int, int] = {}
        self._numbers: set[int] = set()
        self._marks, self._vanished = list[tuple[int, str]](), 0
        self._status, self._codes = Counter[str](), Counter[str]()

    def look(self) -> Result:
        """What is committed of the run by now.

        Raises:
            RunError: there is no run in that folder.
        """
        run = self._run
        check_run(run)
        numbers = committed_numbers(run)
        if not self._numbers <= numbers:
            self._forget()  # commits were taken back
        for uri in plan_parts(run):
            if uri not in self._parts:
                self._planned |= planned_in(uri)
                self._parts.add(uri)
        if (marks := mark_parts(run)) != self._marks:
            self._marks, self._vanished = marks, sum(1 for _ in vanished(run))
        for number, parts in read_commits(run, numbers - self._numbers):
            self._numbers.add(number)
            for part in parts:
                self._status.update(ok=part.ok, skipped=part.skipped, failed=part.failed)
                self._codes.update(part.codes)
        return Result(
            run.uri,
            sum(self._planned.values()),
            self._status["ok"],
            self._status["skipped"],
            self._status["failed"],
            dict(sorted(self._codes.items())),
            complete=bool(self._planned) and set(self._planned) == self._numbers,
            vanished=self._vanished,
        )


def totals(run: Run) -> Result:
    """What is committed of a run.

    Raises:
        RunError: there is no run in that folder.
    """
    return Tally(run).look()


def finish(run: Run, done_now: int, seconds: float) -> Result:
    """Sum up a run and, where every shard is committed, write its _SUCCESS.json.

    Raises:
        RunError: the commits do not add up to the plan.
    """
    parts = plan_parts(run)
    result = totals(run)
    if result.complete:
        if result.inputs != result.done:
            raise RunError(
                f"{run.uri}: {result.inputs} images were planned, but the commits count "
                f"{result.ok} ok, {result.skipped} skipped and {result.failed} failed"
            )
        record = {key: getattr(result, key) for key in ("inputs", "ok", "skipped", "failed", "codes", "vanished")}
        put(run.success, json.dumps(record | {"finished": now()}, sort_keys=True).encode())
        if plan_parts(run) != parts:
            unfinish(run)  # another driver has planned more meanwhile, and finishes it
    return replace(result, done_now=done_now, seconds=seconds)
