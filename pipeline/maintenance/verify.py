"""Verification of a run: every committed row is checked against the result that it names."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from pipeline.errors import StorageError
from pipeline.progress import Progress
from pipeline.runs import (
    COLUMNS_TO_CHECK,
    RESULT_STATUSES,
    Finding,
    Problem,
    RunPaths,
    ShardCounts,
    ShardSet,
    Unreadable,
    count_planned_images,
    find_row_problem,
    iter_committed_rows,
    list_committed_shards,
    require_run,
)
from pipeline.storage import read

_READ_THREADS = 8


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
    missing = images.shards - shards
    findings = [
        Finding(shard, run.commit(shard), Problem.COMMIT_MISSING)
        for shard in missing & _find_first_shards(images, n_in_success_marker)
    ]
    unreadable = list[Unreadable]()
    n_checked = 0
    progress.begin("verify", images.only(shards).total)
    with ThreadPoolExecutor(_READ_THREADS, "verify") as readers:
        for rows in iter_committed_rows(run, COLUMNS_TO_CHECK, shards, unreadable.append):
            for shard, _, table in rows.split(run):
                to_check = [row | {"shard": shard} for row in table.to_pylist()]
                found = [finding for finding in readers.map(find_row_problem, to_check) if finding]
                findings += found
                n_checked += sum(row["status"] in RESULT_STATUSES for row in to_check)
                progress.advance(len(table), len(found))
    progress.end()
    findings += map(_to_finding, unreadable)
    findings.sort(key=lambda finding: finding.shard)
    return VerificationReport(n_checked, tuple(findings), images.total, images.only(missing).total)


def _count_in_success_marker(run: RunPaths) -> int:
    """Return how many images _SUCCESS.json counts: 0 without one, all of them if it cannot be understood."""
    try:
        return int(json.loads(read(run.success_marker))["inputs"])
    except FileNotFoundError:
        return 0
    except (ValueError, KeyError, TypeError):
        return sys.maxsize


def _find_first_shards(images: ShardCounts, n_images: int) -> ShardSet:
    """Return the shards of the first planned images; plans grow by shards with higher numbers."""
    n_before = np.cumsum(images.images, dtype=np.int64) - images.images
    return ShardSet(images.shards.numbers[n_before < n_images])


def _to_finding(unreadable: Unreadable) -> Finding:
    """Return what is wrong with a file of the run that could not be read."""
    cause = unreadable.error.__cause__
    if isinstance(unreadable.error, StorageError):
        problem = Problem.UNREADABLE
    elif unreadable.shard is None:
        problem = Problem.SEGMENT_BROKEN
    else:
        problem = Problem.MISSING if isinstance(cause, FileNotFoundError) else Problem.NOT_AS_COMMITTED
    return Finding(-1 if unreadable.shard is None else unreadable.shard, unreadable.uri, problem)
