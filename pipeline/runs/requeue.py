"""Shards that have to be processed again: what is wrong with their results, and taking back their commits."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from pipeline.errors import ContainerError, RunError, StorageError
from pipeline.runs.commits import ManifestFile, list_committed_shards, read_commit
from pipeline.runs.manifest import read_manifest_file
from pipeline.runs.paths import RunPaths
from pipeline.runs.plan import clear_success_marker, count_planned_images, find_last_shards
from pipeline.sources import read_photo
from pipeline.storage import delete, prefetch_map, sha256_hex

READ_THREADS, _MAX_COMMITS_AHEAD, MAX_SHARDS_AHEAD = 8, 1000, 64
_COLUMNS = ["status", "output_uri", "output_sha256", "retriable", "input_uri"]


class Problem(StrEnum):
    """What is wrong with an object, or worth doing again."""

    MISSING = "it is missing"
    CHECKSUM_MISMATCH = "it is not what its row has the sha256 of"
    NOT_AS_COMMITTED = "it is not the file that was committed"
    COMMIT_MISSING = "the commit of this shard is gone: _SUCCESS.json counts its images"
    UNREADABLE = "storage does not give it; nothing is known of it"
    RETRIABLE = "it failed in a way that may pass"

    @property
    def is_corrupt(self) -> bool:
        """Whether something of the run is known to be gone or another."""
        return self not in (Problem.UNREADABLE, Problem.RETRIABLE)


@dataclass(frozen=True)
class Finding:
    """A row, or a file of the run, that is not as it should be.

    Attributes:
        shard: the shard that it belongs to.
        uri: the object; of a row that failed, the input.
        problem: what is wrong.
    """

    shard: int
    uri: str
    problem: Problem


@dataclass(frozen=True)
class RequeueResult:
    """What `repair` has put back: shards, and the images in them."""

    shards: int
    images: int


def find_retriable_failures(run: RunPaths) -> tuple[Finding, ...]:
    """The failures that may pass, from commits and manifest alone; parts without a failed row are not even read.

    A photo that has been planned again since is none: its later shard is what counts.
    """
    pairs = prefetch_map(
        partial(_find_shard_failures, run), sorted(list_committed_shards(run)), READ_THREADS, _MAX_COMMITS_AHEAD
    )
    found = [finding for _, of_shard in pairs for finding in of_shard]
    latest_shards = find_last_shards(run, {finding.uri for finding in found}) if found else {}
    return tuple(finding for finding in found if latest_shards.get(finding.uri, finding.shard) <= finding.shard)


def requeue_shards(run: RunPaths, findings: Iterable[Finding]) -> RequeueResult:
    """Take back the commits of the shards of some findings: the next `deepot run` does these shards again.

    Objects that storage does not give are left: they may be as they should be.

    Raises:
        StorageError: a commit cannot be removed.
    """
    shards = {finding.shard for finding in findings if finding.problem is not Problem.UNREADABLE}
    if shards:
        clear_success_marker(run)  # first
    for shard in sorted(shards):
        delete(run.commit(shard))
    images = count_planned_images(run)
    return RequeueResult(len(shards), sum(images.get(shard, 0) for shard in shards))


def read_rows_to_check(run: RunPaths, shard: int, file: ManifestFile) -> list[dict[str, Any]]:
    """The rows of a manifest file, with the columns that a check needs."""
    return [row | {"shard": shard} for row in read_manifest_file(run, file).select(_COLUMNS).to_pylist()]


def _find_shard_failures(run: RunPaths, shard: int) -> list[Finding]:
    """Those of one shard; where its manifest is damaged they cannot be told, and `verify` finds that."""
    try:
        files = [part for part in read_commit(run, shard) if part.failed]
        rows = [row for part in files for row in read_rows_to_check(run, shard, part)]
    except (FileNotFoundError, RunError):
        return []
    return [finding for row in rows if row["status"] != "ok" and (finding := find_row_problem(row))]


def find_row_problem(row: dict[str, Any]) -> Finding | None:
    """What is wrong with a row; None where nothing is."""
    if row["status"] != "ok":
        return Finding(row["shard"], row["input_uri"], Problem.RETRIABLE) if row["retriable"] else None
    try:
        problem = (
            None if sha256_hex(read_photo(row["output_uri"])) == row["output_sha256"] else Problem.CHECKSUM_MISMATCH
        )
    except FileNotFoundError:
        problem = Problem.MISSING
    except ContainerError:
        problem = Problem.CHECKSUM_MISMATCH
    except StorageError:
        problem = Problem.UNREADABLE
    return Finding(row["shard"], row["output_uri"], problem) if problem else None
