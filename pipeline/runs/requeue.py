"""Shards that have to be processed again: what is wrong with their results, and taking back their commits."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from pipeline.errors import ContainerError, RunError, StorageError
from pipeline.runs.commits import Part, committed_numbers, read_commit
from pipeline.runs.manifest import read_part
from pipeline.runs.paths import Run
from pipeline.runs.plan import last_shards, planned, unfinish
from pipeline.sources.members import read_photo
from pipeline.storage.objects import delete, sha256
from pipeline.storage.prefetch import read_ahead

_READERS, _READ_AHEAD, _SHARDS_AHEAD = 8, 1000, 64
_COLUMNS = ["status", "output_uri", "output_sha256", "retriable", "source_uri"]


class Problem(StrEnum):
    """What is wrong with an object, or worth doing again."""

    MISSING = "it is missing"
    DIFFERENT = "it is not what its row has the sha256 of"
    NOT_COMMITTED = "it is not the file that was committed"
    LOST = "the commit of this shard is gone: _SUCCESS.json counts its images"
    UNREADABLE = "storage does not give it; nothing is known of it"
    RETRIABLE = "it failed in a way that may pass"

    @property
    def wrong(self) -> bool:
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
class Requeued:
    """What `repair` has put back: shards, and the images in them."""

    shards: int
    images: int


def failures(run: Run) -> tuple[Finding, ...]:
    """The failures that may pass, from commits and manifest alone; parts without a failed row are not even read.

    A photo that has been planned again since is none: its later shard is what counts.
    """
    pairs = read_ahead(partial(_failures, run), sorted(committed_numbers(run)), _READERS, _READ_AHEAD)
    found = [finding for _, of_shard in pairs for finding in of_shard]
    last = last_shards(run, {finding.uri for finding in found}) if found else {}
    return tuple(finding for finding in found if last.get(finding.uri, finding.shard) <= finding.shard)


def repair(run: Run, findings: Iterable[Finding]) -> Requeued:
    """Take back the commits of the shards of some findings: the next `deepot run` does these shards again.

    Objects that storage does not give are left: they may be as they should be.

    Raises:
        StorageError: a commit cannot be removed.
    """
    shards = {finding.shard for finding in findings if finding.problem is not Problem.UNREADABLE}
    if shards:
        unfinish(run)  # first
    for shard in sorted(shards):
        delete(run.commit(shard))
    images = planned(run)
    return Requeued(len(shards), sum(images.get(shard, 0) for shard in shards))


def _part_rows(run: Run, shard: int, part: Part) -> list[dict[str, Any]]:
    return [row | {"shard": shard} for row in read_part(run, part).select(_COLUMNS).to_pylist()]


def _failures(run: Run, shard: int) -> list[Finding]:
    """Those of one shard; where its manifest is damaged they cannot be told, and `verify` finds that."""
    try:
        parts = [part for part in read_commit(run, shard) if part.failed]
        rows = [row for part in parts for row in _part_rows(run, shard, part)]
    except (FileNotFoundError, RunError):
        return []
    return [finding for row in rows if row["status"] != "ok" and (finding := _checked(row))]


def _checked(row: dict[str, Any]) -> Finding | None:
    """What is wrong with a row; None where nothing is."""
    if row["status"] != "ok":
        return Finding(row["shard"], row["source_uri"], Problem.RETRIABLE) if row["retriable"] else None
    try:
        problem = None if sha256(read_photo(row["output_uri"])) == row["output_sha256"] else Problem.DIFFERENT
    except FileNotFoundError:
        problem = Problem.MISSING
    except ContainerError:
        problem = Problem.DIFFERENT
    except StorageError:
        problem = Problem.UNREADABLE
    return Finding(row["shard"], row["output_uri"], problem) if problem else None
