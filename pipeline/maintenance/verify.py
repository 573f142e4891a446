"""Verify: every committed row against the object that it speaks of, and what is to be done again."""

import json
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import accumulate
from typing import Any

from pipeline.errors import ContainerError, RunError, StorageError
from pipeline.progress import Progress
from pipeline.runs.commits import Part, committed_numbers, read_commit
from pipeline.runs.manifest import read_part
from pipeline.runs.paths import Run, check_run
from pipeline.runs.plan import last_shards, planned, unfinish
from pipeline.sources.members import read_photo
from pipeline.storage.objects import delete, read, sha256
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


@dataclass(frozen=True)
class Requeued:
    """What `repair` has put back: shards, and the images in them."""

    shards: int
    images: int


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


def _part_rows(run: Run, shard: int, part: Part) -> list[dict[str, Any]]:
    return [row | {"shard": shard} for row in read_part(run, part).select(_COLUMNS).to_pylist()]


def _problem(error: Exception) -> Problem:
    """Of a file of the run."""
    if isinstance(error, FileNotFoundError):
        return Problem.MISSING
    return Problem.NOT_COMMITTED if isinstance(error, RunError) else Problem.UNREADABLE


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
