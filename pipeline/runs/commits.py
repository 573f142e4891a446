"""Commits: a shard's parts count once its commit names them; one is created for each shard and none is changed."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial

from pipeline.errors import RunError
from pipeline.runs.lease import check
from pipeline.runs.paths import Run
from pipeline.storage.folders import each_name
from pipeline.storage.objects import create, read
from pipeline.storage.prefetch import read_ahead

_READERS, _READ_AHEAD = 16, 1000  # of commits: one takes tens of milliseconds where a network lies between


@dataclass(frozen=True)
class Part:
    """A written manifest part: what a commit says of it.

    Attributes:
        name: file name in the manifest folder.
        size: bytes.
        sha256: of the file.
        ok: rows of images that are done.
        skipped: rows of images left alone on purpose.
        failed: rows of images that failed.
        codes: error codes and how often.
    """

    name: str
    size: int
    sha256: str
    ok: int
    skipped: int
    failed: int
    codes: dict[str, int]

    @property
    def rows(self) -> int:
        """All rows."""
        return self.ok + self.skipped + self.failed


_SAID = tuple(field.name for field in fields(Part))  # a newer version may say more


def commit(run: Run, shard: int, parts: Sequence[Part]) -> bool:
    """Commit a shard: create-only, so of two drivers one wins.

    Returns:
        Whether this call's parts are the committed ones.

    Raises:
        RunError: this driver had to lead the run alone, and another one does so now.
    """
    check(run)
    record = {"shard": shard, "parts": [asdict(part) for part in sorted(parts, key=lambda part: part.name)]}
    return create(run.commit(shard), json.dumps(record, sort_keys=True).encode())


def committed_numbers(run: Run) -> set[int]:
    """Numbers of the committed shards, from names alone."""
    return {
        int(name.removesuffix(".json")) for name in each_name(run.commit()) if name.endswith(".json") and name[0] != "."
    }


def committed(run: Run) -> Iterator[tuple[int, list[Part]]]:
    """The committed shards in order, and their parts.

    Raises:
        RunError: one of them is not readable as a commit.
    """
    return read_commits(run, committed_numbers(run))


def read_commits(run: Run, numbers: Iterable[int]) -> Iterator[tuple[int, list[Part]]]:
    """Commits of these shards in order, and their parts; some are read at a time.

    Raises:
        RunError: one of them is not readable as a commit.
    """
    return read_ahead(partial(read_commit, run), sorted(numbers), _READERS, _READ_AHEAD)


def read_commit(run: Run, shard: int) -> list[Part]:
    """The parts that the commit of a shard names.

    Raises:
        RunError: the commit is not readable as one.
    """
    try:
        parts = json.loads(read(run.commit(shard)))["parts"]
        return [Part(**{name: part[name] for name in _SAID}) for part in parts]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{run.commit(shard)} is not a commit of this version of deepot ({error})") from error
