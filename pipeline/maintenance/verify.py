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
from pipeline.runs import (
    MAX_SHARDS_AHEAD,
    READ_THREADS,
    Finding,
    Problem,
    RunPaths,
    count_planned_images,
    find_row_problem,
    list_committed_shards,
    read_commit,
    read_rows_to_check,
    require_run,
)
from pipeline.storage import prefetch_map, read


@dataclass(frozen=True)
class VerificationReport:
    """What `verify` saw.

    Attributes:
        n_checked: objects of `ok` rows that were looked at.
        findings: what is wrong.
        n_planned: images in the plan.
        n_uncommitted: images of these whose shards have no commit.
    """

    n_checked: int
    findings: tuple[Finding, ...] = ()
    n_planned: int = 0
    n_uncommitted: int = 0

    @property
    def n_corrupt(self) -> int:
        """Findings of objects that are missing or differ, and of commits that are gone."""
        return sum(finding.problem.is_corrupt for finding in self.findings)

    @property
    def n_unreadable(self) -> int:
        """Objects of which nothing can be said."""
        return sum(finding.problem is Problem.UNREADABLE for finding in self.findings)

    @property
    def n_retriable(self) -> int:
        """Failures that may pass."""
        return len(self.findings) - self.n_corrupt - self.n_unreadable


def verify_run(run: RunPaths, progress: Progress) -> VerificationReport:
    """Read every result of a run again; rows that failed but may pass are found too.

    An object that cannot be read for another reason than that it is gone is a finding, and the others are read.

    Raises:
        RunError: there is no run in that folder.
        StorageError: the folder of the run, its plan or its _SUCCESS.json cannot be read.
    """
    require_run(run)
    n_in_success_marker = _count_in_success_marker(run)  # read before the commits, which drivers write before it
    images = count_planned_images(run)
    shards = list_committed_shards(run)
    missing = images.keys() - shards
    findings = [
        Finding(shard, run.commit(shard), Problem.COMMIT_MISSING)
        for shard in sorted(missing & _find_first_shards(images, n_in_success_marker))
    ]
    results = 0
    progress.begin("verify", sum(images.get(shard, 0) for shard in shards))
    with ThreadPoolExecutor(READ_THREADS, "verify") as readers:
        for _, (rows, file_findings) in prefetch_map(
            partial(_read_shard_rows, run), sorted(shards), READ_THREADS, MAX_SHARDS_AHEAD
        ):
            found = [*file_findings, *(finding for finding in readers.map(find_row_problem, rows) if finding)]
            findings += found
            results += sum(row["status"] == "ok" for row in rows)
            progress.advance(len(rows), len(found))
    progress.end()
    return VerificationReport(results, tuple(findings), sum(images.values()), sum(images[shard] for shard in missing))


def _count_in_success_marker(run: RunPaths) -> int:
    """How many images _SUCCESS.json counts: all where it does not say so, 0 where there is none."""
    try:
        return int(json.loads(read(run.success_marker))["inputs"])
    except FileNotFoundError:
        return 0
    except (ValueError, KeyError, TypeError):
        return sys.maxsize


def _find_first_shards(images_per_shard: Mapping[int, int], images: int) -> set[int]:
    """The shards of the first so many planned images: a plan is only ever added to, with higher numbers."""
    numbers = sorted(images_per_shard)
    before = accumulate((images_per_shard[number] for number in numbers), initial=0)
    return {number for number, sum_before in zip(numbers, before, strict=False) if sum_before < images}


def _read_shard_rows(run: RunPaths, shard: int) -> tuple[list[dict[str, Any]], list[Finding]]:
    """The rows of a shard that can be read, what is wrong with its commit and parts; nothing if it was taken back."""
    try:
        files = read_commit(run, shard)
    except FileNotFoundError:
        return [], []
    except (RunError, StorageError) as error:
        return [], [Finding(shard, run.commit(shard), _classify_error(error))]
    rows: list[dict[str, Any]] = []
    findings: list[Finding] = []
    for part in files:
        try:
            rows += read_rows_to_check(run, shard, part)
        except (FileNotFoundError, RunError, StorageError) as error:
            findings.append(Finding(shard, run.manifest(part.name), _classify_error(error)))
    return rows, findings


def _classify_error(error: Exception) -> Problem:
    """Of a file of the run."""
    if isinstance(error, FileNotFoundError):
        return Problem.MISSING
    return Problem.NOT_AS_COMMITTED if isinstance(error, RunError) else Problem.UNREADABLE
