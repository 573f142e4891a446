"""Commits: a shard's parts count once its commit names them; one is created for each shard and none is changed."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial

from pipeline.errors import RunError
from pipeline.runs.lease import check_lease
from pipeline.runs.paths import RunPaths
from pipeline.storage import create_if_absent, iter_names, prefetch_map, read

_COMMIT_READ_THREADS, _MAX_COMMITS_AHEAD = (
    16,
    1000,
)  # of commits: one takes tens of milliseconds where a network lies between


@dataclass(frozen=True)
class ManifestFile:
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
    def n_rows(self) -> int:
        """All rows."""
        return self.ok + self.skipped + self.failed


_FIELD_NAMES = tuple(field.name for field in fields(ManifestFile))  # a newer version may say more


def commit(run: RunPaths, shard: int, files: Sequence[ManifestFile]) -> bool:
    """Commit a shard: create-only, so of two drivers one wins.

    Returns:
        Whether this call's parts are the committed ones.

    Raises:
        RunError: this driver had to lead the run alone, and another one does so now.
    """
    check_lease(run)
    record = {"shard": shard, "parts": [asdict(part) for part in sorted(files, key=lambda part: part.name)]}
    return create_if_absent(run.commit(shard), json.dumps(record, sort_keys=True).encode())


def list_committed_shards(run: RunPaths) -> set[int]:
    """Numbers of the committed shards, from names alone."""
    return {
        int(name.removesuffix(".json"))
        for name in iter_names(run.commit())
        if name.endswith(".json") and name[0] != "."
    }


def iter_commits(run: RunPaths) -> Iterator[tuple[int, list[ManifestFile]]]:
    """The committed shards in order, and their parts.

    Raises:
        RunError: one of them is not readable as a commit.
    """
    return read_commits(run, list_committed_shards(run))


def read_commits(run: RunPaths, shards: Iterable[int]) -> Iterator[tuple[int, list[ManifestFile]]]:
    """Commits of these shards in order, and their parts; some are read at a time.

    Raises:
        RunError: one of them is not readable as a commit.
    """
    return prefetch_map(partial(read_commit, run), sorted(shards), _COMMIT_READ_THREADS, _MAX_COMMITS_AHEAD)


def read_commit(run: RunPaths, shard: int) -> list[ManifestFile]:
    """The parts that the commit of a shard names.

    Raises:
        RunError: the commit is not readable as one.
    """
    try:
        files = json.loads(read(run.commit(shard)))["parts"]
        return [ManifestFile(**{name: part[name] for name in _FIELD_NAMES}) for part in files]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{run.commit(shard)} is not a commit of this version of deepot ({error})") from error
