"""Totals: what is committed of a run, and the marker of a finished one."""

import json
from collections import Counter
from dataclasses import dataclass, replace

from pipeline.errors import RunError
from pipeline.layout import Run
from pipeline.manifest import committed
from pipeline.plan import planned
from pipeline.storage import exists, now, put


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
        complete: whether every shard is committed.
        done_now: images worked on by this call.
        seconds: that this call took.
    """

    run: str
    inputs: int
    ok: int
    skipped: int
    failed: int
    codes: dict[str, int]
    complete: bool
    done_now: int = 0
    seconds: float = 0.0

    @property
    def counts(self) -> dict[str, str | int]:
        """What a scheduler is told of any run: run, inputs, ok, skipped, failed."""
        return {key: getattr(self, key) for key in ("run", "inputs", "ok", "skipped", "failed")}

    @property
    def told(self) -> dict[str, str | int | float]:
        """What a scheduler is told of a call: the counts, done_now and seconds."""
        return self.counts | {"done_now": self.done_now, "seconds": round(self.seconds, 3)}

    @property
    def error_rate(self) -> float:
        """Share of failed images."""
        return self.failed / self.inputs if self.inputs else 0.0


def totals(run: Run) -> Result:
    """What is committed of a run.

    Raises:
        RunError: there is no run in that folder.
    """
    if not exists(run.about):
        raise RunError(f"{run.uri} is not the folder of a run: it has no run.json")
    images = planned(run)
    status, codes, numbers = Counter[str](), Counter[str](), set()
    for number, parts in committed(run):
        numbers.add(number)
        for part in parts:
            status.update(ok=part.ok, skipped=part.skipped, failed=part.failed)
            codes.update(part.codes)
    return Result(
        run.uri,
        sum(images.values()),
        status["ok"],
        status["skipped"],
        status["failed"],
        dict(sorted(codes.items())),
        complete=set(images) == numbers,
    )


def finish(run: Run, done_now: int, seconds: float) -> Result:
    """Sum up a run and, where every shard is committed, write its _SUCCESS.json.

    Raises:
        RunError: the commits do not add up to the plan.
    """
    result = totals(run)
    if result.complete:
        if result.inputs != result.ok + result.skipped + result.failed:
            raise RunError(
                f"{run.uri}: {result.inputs} images were planned, but the commits count "
                f"{result.ok} ok, {result.skipped} skipped and {result.failed} failed"
            )
        record = {key: getattr(result, key) for key in ("inputs", "ok", "skipped", "failed", "codes")}
        put(run.success, json.dumps(record | {"finished": now()}, sort_keys=True).encode())
    return replace(result, done_now=done_now, seconds=seconds)
