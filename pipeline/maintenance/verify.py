"""Verify: every committed row against the object that it speaks of, and what is to be done again."""

import json
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any

from pipeline.errors import RunError, StorageError
from pipeline.progress import Progress
from pipeline.runs.commits import committed_numbers, read_commit
from pipeline.runs.paths import Run, check_run
from pipeline.runs.plan import planned
from pipeline.runs.requeue import _READERS, _SHARDS_AHEAD, Finding, Problem, _checked, _part_rows
from pipeline.storage.objects import read
from pipeline.storage.prefetch import read_ahead


@dataclass(frozen=True)
class Verified:
    """What `verify` saw.

    Attributes:
        results: objects of `ok` rows that were looked at.
        findings: what is wrong.
        planned: images in the plan.
        uncommitted: images of these whose shards have no commit.
    """

    results: int
    findings: tuple[Finding, ...] = ()
    planned: int = 0
    uncommitted: int = 0

    @property
    def wrong(self) -> int:
        """Findings of objects that are missing or differ, and of commits that are gone."""
        return sum(finding.problem.wrong for finding in self.findings)

    @property
    def unreadable(self) -> int:
        """Objects of which nothing can be said."""
        return sum(finding.problem is Problem.UNREADABLE for finding in self.findings)

    @property
    def retriable(self) -> int:
        """Failures that may pass."""
        return len(self.findings) - self.wrong - self.unreadable


def verify(run: Run, progress: Progress) -> Verified:
    """Read every result of a run again; rows that failed but may pass are found too.

    An object that cannot be read for another reason than that it is gone is a finding, and the others are read.

    Raises:
        RunError: there is no run in that folder.
        StorageError: the folder of the run, its plan or its _SUCCESS.json cannot be read.
    """
    check_run(run)
    lasting = _of_success(run)  # read before the commits, which drivers write before it
    images = planned(run)
    shards = committed_numbers(run)
    missing = images.keys() - shards
    findings = [Finding(shard, run.commit(shard), Problem.LOST) for shard in sorted(missing & _first(images, lasting))]
    results = 0
    progress.begin("verify", sum(images.get(shard, 0) for shard in shards))
    with ThreadPoolExecutor(_READERS, "verify") as readers:
        for _, (rows, damage) in read_ahead(partial(_rows, run), sorted(shards), _READERS, _SHARDS_AHEAD):
            found = [*damage, *(finding for finding in readers.map(_checked, rows) if finding)]
            findings += found
            results += sum(row["status"] == "ok" for row in rows)
            progress.advance(len(rows), len(found))
    progress.end()
    return Verified(results, tuple(findings), sum(images.values()), sum(images[shard] for shard in missing))


def _of_success(run: Run) -> int:
    """How many images _SUCCESS.json counts: all where it does not say so, 0 where there is none."""
    try:
        return int(json.loads(read(run.success))["inputs"])
    except FileNotFoundError:
        return 0
    except (ValueError, KeyError, TypeError):
        return sys.maxsize


def _first(planned: Mapping[int, int], images: int) -> set[int]:
    """The shards of the first so many planned images: a plan is only ever added to, with higher numbers."""
    numbers = sorted(planned)
    before = accumulate((planned[number] for number in numbers), initial=0)
    return {number for number, sum_before in zip(numbers, before, strict=False) if sum_before < images}


def _rows(run: Run, shard: int) -> tuple[list[dict[str, Any]], list[Finding]]:
    """The rows of a shard that can be read, what is wrong with its commit and parts; nothing if it was taken back."""
    try:
        parts = read_commit(run, shard)
    except FileNotFoundError:
        return [], []
    except (RunError, StorageError) as error:
        return [], [Finding(shard, run.commit(shard), _problem(error))]
    rows: list[dict[str, Any]] = []
    findings: list[Finding] = []
    for part in parts:
        try:
            rows += _part_rows(run, shard, part)
        except (FileNotFoundError, RunError, StorageError) as error:
            findings.append(Finding(shard, run.manifest(part.name), _problem(error)))
    return rows, findings


def _problem(error: Exception) -> Problem:
    """Of a file of the run."""
    if isinstance(error, FileNotFoundError):
        return Problem.MISSING
    return Problem.NOT_COMMITTED if isinstance(error, RunError) else Problem.UNREADABLE
