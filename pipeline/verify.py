"""Verify: every committed row against the object that it speaks of, and what is to be done again."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from pipeline.ahead import read_ahead
from pipeline.errors import RunError
from pipeline.layout import Run
from pipeline.manifest import Part, committed_numbers, read_commit, read_part
from pipeline.plan import planned
from pipeline.progress import Progress
from pipeline.sources.members import read_photo
from pipeline.storage import delete, exists, sha256

_READERS, _READ_AHEAD = 8, 1000
_COLUMNS = ["status", "output_uri", "output_sha256", "retriable", "source_uri"]


class Problem(StrEnum):
    """What is wrong with an object, or worth doing again."""

    MISSING = "it is missing"
    DIFFERENT = "its sha256 differs from the manifest's"
    NOT_COMMITTED = "it is not the file that was committed"
    RETRIABLE = "it failed in a way that may pass"


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
class Verified:
    """What `verify` saw.

    Attributes:
        results: objects of `ok` rows that were read.
        findings: what is wrong.
    """

    results: int
    findings: tuple[Finding, ...]

    @property
    def wrong(self) -> int:
        """Findings of objects that are missing or differ."""
        return sum(finding.problem is not Problem.RETRIABLE for finding in self.findings)

    @property
    def retriable(self) -> int:
        """Failures that may pass."""
        return len(self.findings) - self.wrong


@dataclass(frozen=True)
class Requeued:
    """What `repair` has put back: shards, and the images in them."""

    shards: int
    images: int


def verify(run: Run, progress: Progress) -> Verified:
    """Read every result of a run again; rows that failed but may pass are found too.

    Raises:
        RunError: there is no run in that folder.
        StorageError: an object cannot be read for another reason than that it is gone.
    """
    if not exists(run.about):
        raise RunError(f"{run.uri} is not the folder of a run: it has no run.json")
    shards, findings, results = sorted(committed_numbers(run)), [], 0
    images = planned(run)
    progress.begin("verify", sum(images.get(shard, 0) for shard in shards))
    with ThreadPoolExecutor(_READERS, "verify") as readers:
        for shard in shards:
            try:
                rows = [row | {"shard": shard} for part in read_commit(run, shard) for row in _rows(run, part)]
            except _DamageError as damage:
                findings.append(Finding(shard, damage.uri, damage.problem))
                continue
            except FileNotFoundError:
                continue  # taken back in the meantime
            except RunError:
                findings.append(Finding(shard, run.commit(shard), Problem.NOT_COMMITTED))
                continue
            found = [finding for finding in readers.map(_checked, rows) if finding]
            findings += found
            results += sum(row["status"] == "ok" for row in rows)
            progress.advance(len(rows), len(found))
    progress.end()
    return Verified(results, tuple(findings))


def failures(run: Run) -> tuple[Finding, ...]:
    """The failures that may pass, from commits and manifest alone; parts without a failed row are not even read."""
    found = read_ahead(partial(_failures, run), sorted(committed_numbers(run)), _READERS, _READ_AHEAD)
    return tuple(finding for _, of_shard in found for finding in of_shard)


def repair(run: Run, findings: Iterable[Finding]) -> Requeued:
    """Take back the commits of the shards of some findings: the next `deepot run` does these shards again.

    Raises:
        StorageError: a commit cannot be removed.
    """
    shards = {finding.shard for finding in findings}
    if shards:
        delete(run.success)  # first: a run that is not whole must not look so
    for shard in sorted(shards):
        delete(run.commit(shard))
    images = planned(run)
    return Requeued(len(shards), sum(images.get(shard, 0) for shard in shards))


class _DamageError(Exception):
    """A manifest part that is gone or is not the committed one: nothing is known of its rows."""

    def __init__(self, uri: str, problem: Problem) -> None:
        super().__init__(uri)
        self.uri, self.problem = uri, problem


def _rows(run: Run, part: Part) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = read_part(run, part).select(_COLUMNS).to_pylist()
    except FileNotFoundError as error:
        raise _DamageError(run.manifest(part.name), Problem.MISSING) from error
    except RunError as error:
        raise _DamageError(run.manifest(part.name), Problem.NOT_COMMITTED) from error
    return rows


def _failures(run: Run, shard: int) -> list[Finding]:
    """Those of one shard; where its manifest is damaged they cannot be told, and `verify` finds that."""
    try:
        parts = [part for part in read_commit(run, shard) if part.failed]
        rows = [row | {"shard": shard} for part in parts for row in _rows(run, part)]
    except (_DamageError, FileNotFoundError, RunError):
        return []
    return [finding for row in rows if row["status"] != "ok" and (finding := _checked(row))]


def _checked(row: dict[str, Any]) -> Finding | None:
    """What is wrong with a row; None where nothing is."""
    if row["status"] != "ok":
        return Finding(row["shard"], row["source_uri"], Problem.RETRIABLE) if row["retriable"] else None
    try:
        same = sha256(read_photo(row["output_uri"])) == row["output_sha256"]
    except FileNotFoundError:
        return Finding(row["shard"], row["output_uri"], Problem.MISSING)
    return None if same else Finding(row["shard"], row["output_uri"], Problem.DIFFERENT)
