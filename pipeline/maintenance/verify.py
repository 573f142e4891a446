"""Verification of a run: every committed row is checked against the result that it names."""

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
    RESULT_STATUSES,
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

_READ_THREADS, _MAX_SHARDS_AHEAD = 8, 64


@dataclass(frozen=True)
class VerificationReport:
    """What a verification found.

    Attributes:
        n_checked: results that were checked.
        findings: the problems.
        n_planned: planned images.
        n_uncommitted: planned images whose shards have no commit.
    """

    n_checked: int
    findings: tuple[Finding, ...] = ()
    n_planned: int = 0
    n_uncommitted: int = 0

    @property
    def n_corrupt(self) -> int:
        """The number of missing or different objects and missing commits."""
        return sum(finding.problem.is_corrupt for finding in self.findings)

    @property
    def n_unreadable(self) -> int:
        """The number of objects that storage could not read."""
        return sum(finding.problem is Problem.UNREADABLE for finding in self.findings)

    @property
    def n_retriable(self) -> int:
        """The number of failures that another attempt may cure."""
        return len(self.findings) - self.n_corrupt - self.n_unreadable


def verify_run(run: RunPaths, progress: Progress) -> VerificationReport:
    """Read every result of a run again and compare it with its manifest row; retriable failures are found too.

    An object that storage cannot read is a finding and does not stop the verification.

    Raises:
        RunError: the folder is not that of a run.
        StorageError: the folder, the plan or _SUCCESS.json cannot be read.
    """
    require_run(run)
    n_in_success_marker = _count_in_success_marker(run)  # read first: drivers write it after the commits
    images = count_planned_images(run)
    shards = list_committed_shards(run)
    missing = images.keys() - shards
    findings = [
        Finding(shard, run.commit(shard), Problem.COMMIT_MISSING)
        for shard in sorted(missing & _find_first_shards(images, n_in_success_marker))
    ]
    n_checked = 0
    progress.begin("verify", sum(images.get(shard, 0) for shard in shards))
    with ThreadPoolExecutor(_READ_THREADS, "verify") as readers:
        for _, (rows, file_findings) in prefetch_map(
            partial(_read_shard_rows, run), sorted(shards), _READ_THREADS, _MAX_SHARDS_AHEAD
        ):
            found = [*file_findings, *(finding for finding in readers.map(find_row_problem, rows) if finding)]
            findings += found
            n_checked += sum(row["status"] in RESULT_STATUSES for row in rows)
            progress.advance(len(rows), len(found))
    progress.end()
    return VerificationReport(n_checked, tuple(findings), sum(images.values()), sum(images[shard] for shard in missing))


def _count_in_success_marker(run: RunPaths) -> int:
    """Return how many images _SUCCESS.json counts: 0 without one, all of them if it cannot be understood."""
    try:
        return int(json.loads(read(run.success_marker))["inputs"])
    except FileNotFoundError:
        return 0
    except (ValueError, KeyError, TypeError):
        return sys.maxsize


def _find_first_shards(images_per_shard: Mapping[int, int], images: int) -> set[int]:
    """Return the shards of the first `images` planned images; plans grow by shards with higher numbers."""
    numbers = sorted(images_per_shard)
    images_before = accumulate((images_per_shard[number] for number in numbers), initial=0)
    return {number for number, n_before in zip(numbers, images_before, strict=False) if n_before < images}


def _read_shard_rows(run: RunPaths, shard: int) -> tuple[list[dict[str, Any]], list[Finding]]:
    """Read the rows of a shard, and find problems of its commit and manifest files; nothing if it was requeued."""
    try:
        files = read_commit(run, shard)
    except FileNotFoundError:
        return [], []
    except (RunError, StorageError) as error:
        return [], [Finding(shard, run.commit(shard), _classify_error(error))]
    rows: list[dict[str, Any]] = []
    findings: list[Finding] = []
    for file in files:
        try:
            rows += read_rows_to_check(run, shard, file)
        except (FileNotFoundError, RunError, StorageError) as error:
            findings.append(Finding(shard, run.manifest(file.name), _classify_error(error)))
    return rows, findings


def _classify_error(error: Exception) -> Problem:
    """Return what is wrong with a file of the run that could not be read."""
    if isinstance(error, FileNotFoundError):
        return Problem.MISSING
    return Problem.NOT_AS_COMMITTED if isinstance(error, RunError) else Problem.UNREADABLE
