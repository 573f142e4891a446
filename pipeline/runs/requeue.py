"""Requeueing shards: finding results and failures that need another attempt, and removing their commits."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pipeline.errors import ContainerError, ImageError, StorageError
from pipeline.runs.commits import list_commits
from pipeline.runs.committed_rows import read_shard_rows
from pipeline.runs.manifest import parse_manifest_file
from pipeline.runs.manifest_schema import RESULT_STATUSES
from pipeline.runs.paths import RunPaths
from pipeline.runs.plan import clear_success_marker, count_planned_images, find_last_shards
from pipeline.runs.segments import Unreadable, iter_shard_commits
from pipeline.runs.shard_set import ShardSet
from pipeline.sources import read_photo
from pipeline.storage import delete, read, sha256_hex

COLUMNS_TO_CHECK = ("status", "output_uri", "output_sha256", "retriable", "input_uri")
"""The columns of a row that `find_row_problem` needs, besides its shard."""


class Problem(StrEnum):
    """What is wrong with an object, or makes its shard worth another attempt."""

    MISSING = "it is missing"
    CHECKSUM_MISMATCH = "its SHA-256 differs from the one in its manifest row"
    NOT_AS_COMMITTED = "it is not the file that was committed"
    COMMIT_MISSING = "the commit of this shard is missing, although _SUCCESS.json counts its images"
    SEGMENT_BROKEN = "it is missing or not the file that was written, and holds rows of many shards"
    UNREADABLE = "storage cannot read it, so nothing is known about it"
    RETRIABLE = "it failed, and another attempt may succeed"
    OVERRULED = "a review has decided otherwise"

    @property
    def is_corrupt(self) -> bool:
        """Whether an object of the run is known to be missing or different."""
        return self not in (Problem.UNREADABLE, Problem.RETRIABLE, Problem.OVERRULED)


@dataclass(frozen=True)
class Finding:
    """A row, or a file of the run, with a problem.

    Attributes:
        shard: the shard that it belongs to; -1 for a segment.
        uri: the object; for a failed row, the input; for a segment, its index.
        problem: what is wrong.
    """

    shard: int
    uri: str
    problem: Problem


@dataclass(frozen=True)
class RequeueResult:
    """How many shards were requeued, and how many images they hold."""

    shards: int
    images: int


def find_retriable_failures(run: RunPaths) -> tuple[Finding, ...]:
    """Find the failed images that another attempt may process; no result is read.

    Images that a later shard has planned again do not count. Manifest files without failed rows are not read.
    """
    commits = iter_shard_commits(run, list_commits(run), _leave_to_verify)
    failed = ShardSet(shard for shard, commit in commits if any(file.failed for file in commit.files))
    rows = read_shard_rows(run, failed, ["status", "retriable", "input_uri"], _leave_to_verify)
    found = [
        Finding(shard, row["input_uri"], Problem.RETRIABLE)
        for shard, row in rows
        if row["status"] == "failed" and row["retriable"]
    ]
    latest_shards = find_last_shards(run, {finding.uri for finding in found}) if found else {}
    return tuple(finding for finding in found if latest_shards.get(finding.uri, finding.shard) <= finding.shard)


def requeue_shards(run: RunPaths, findings: Iterable[Finding]) -> RequeueResult:
    """Remove the commits of the shards with findings, so that the next `deepot run` processes them again.

    Shards whose only finding is an unreadable object are left alone: the object may be intact.

    Raises:
        StorageError: a commit cannot be removed.
    """
    findings = tuple(findings)
    broken = [finding.uri for finding in findings if finding.problem is Problem.SEGMENT_BROKEN]
    shards = {finding.shard for finding in findings if finding.problem is not Problem.UNREADABLE} - {-1}
    if shards:
        clear_success_marker(run)  # before the commits, so that the run never looks complete without them
    for shard in sorted(shards):
        delete(run.commit(shard))
    for index in broken:
        delete(index)  # after the commits of the shards whose rows were only there
    return RequeueResult(len(shards), count_planned_images(run).only(ShardSet(shards)).total)


def read_uncommitted_rows(uri: str) -> list[dict[str, Any]]:
    """Read the rows of a manifest file that no commit names, with the columns that `find_row_problem` needs.

    Raises:
        FileNotFoundError: the file is missing.
        RunError: it is not a manifest file of a version that this deepot reads.
    """
    return [row | {"shard": -1} for row in parse_manifest_file(uri, read(uri), COLUMNS_TO_CHECK).to_pylist()]


def _leave_to_verify(unreadable: Unreadable) -> None:
    """Go on without a file that is missing or has changed, which `deepot verify` reports."""
    if isinstance(unreadable.error, StorageError):
        raise unreadable.error


def find_row_problem(row: dict[str, Any]) -> Finding | None:
    """Check a manifest row: read its result and compare the SHA-256, or see whether its failure is retriable.

    Args:
        row: a row with `COLUMNS_TO_CHECK` and its shard.

    Returns:
        What is wrong; None if nothing is.
    """
    if row["status"] not in RESULT_STATUSES:
        return Finding(row["shard"], row["input_uri"], Problem.RETRIABLE) if row["retriable"] else None
    problem = _check_result(row["output_uri"], row["output_sha256"])
    return Finding(row["shard"], row["output_uri"], problem) if problem else None


def _check_result(uri: str, sha256: str) -> Problem | None:
    try:
        return None if sha256_hex(read_photo(uri)) == sha256 else Problem.CHECKSUM_MISMATCH
    except FileNotFoundError:
        return Problem.MISSING
    except (ContainerError, ImageError):  # its file is corrupt, or ends before it
        return Problem.CHECKSUM_MISMATCH
    except StorageError:
        return Problem.UNREADABLE
