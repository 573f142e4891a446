"""The commits of a run: one create-only file for each shard, which names the shard's manifest files."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import partial

from pipeline.errors import RunError
from pipeline.runs.lease import check_lease
from pipeline.runs.paths import RunPaths
from pipeline.runs.plan import count_planned_images
from pipeline.storage import create_if_absent, iter_names, prefetch_map, read, sha256_hex, utc_timestamp

_READ_THREADS, _MAX_COMMITS_AHEAD = 16, 1000  # reading one commit over a network takes tens of milliseconds

_NOT_COMMITTED = {"committed": False}


@dataclass(frozen=True)
class ManifestFile:
    """A manifest file as its commit describes it.

    Attributes:
        name: file name in the manifest folder.
        size: bytes.
        sha256: SHA-256 of the file.
        ok: number of rows with status ok.
        skipped: number of rows of images that were left alone on purpose.
        failed: number of rows of images that failed.
        codes: error codes and how often each occurs.
        rejected: number of rows of photos that a review has rejected; commits of earlier versions have no such number.
        untouched: number of rows with status ok whose photos keep every sample, as they look natural already; likewise.
        refusals: number of rows with the code `access_denied` after the last one with a result, in the order in which
            their images were processed; not part of the commit.
        last_refusal: the error message of the last of these; empty if there is none, and not part of the commit.
    """

    name: str
    size: int
    sha256: str
    ok: int
    skipped: int
    failed: int
    codes: dict[str, int]
    rejected: int = 0
    untouched: int = 0
    refusals: int = field(default=0, compare=False, metadata=_NOT_COMMITTED)
    last_refusal: str = field(default="", compare=False, metadata=_NOT_COMMITTED)

    @property
    def n_rows(self) -> int:
        """The number of rows, whatever their status."""
        return self.ok + self.rejected + self.skipped + self.failed


@dataclass(frozen=True)
class ShardCommit:
    """The commit of a shard.

    Attributes:
        files: its manifest files, ordered by name.
        committed: when the driver committed it, in UTC and ISO 8601; None in commits of earlier versions.
        sha256: SHA-256 of the commit, which no later commit of the shard has.
    """

    files: tuple[ManifestFile, ...]
    committed: str | None
    sha256: str


_FIELD_NAMES = tuple(each.name for each in fields(ManifestFile) if not each.metadata)  # a newer version may write more
_DEFAULTS = {"rejected": 0, "untouched": 0}  # of what commits of earlier versions lack


def commit(run: RunPaths, shard: int, files: Sequence[ManifestFile]) -> bool:
    """Commit a shard; the commit is create-only, so that one of two concurrent drivers wins.

    Returns:
        Whether the committed files are those of this call.

    Raises:
        RunError: this driver held the lease of the run, and another driver has taken it over.
    """
    check_lease(run)
    descriptions = [
        {name: getattr(file, name) for name in _FIELD_NAMES} for file in sorted(files, key=lambda file: file.name)
    ]
    record = {"shard": shard, "files": descriptions, "committed": utc_timestamp()}
    return create_if_absent(run.commit(shard), json.dumps(record, sort_keys=True).encode())


def list_committed_shards(run: RunPaths) -> set[int]:
    """List the numbers of the committed shards; only names are read."""
    return {
        int(name.removesuffix(".json"))
        for name in iter_names(run.commit())
        if name.endswith(".json") and name[0] != "."
    }


def count_uncommitted_images(run: RunPaths) -> dict[int, int]:
    """Count the images of every planned shard without a commit, by shard number."""
    done = list_committed_shards(run)
    return {number: images for number, images in count_planned_images(run).items() if number not in done}


def iter_commits(run: RunPaths) -> Iterator[tuple[int, list[ManifestFile]]]:
    """Iterate over the committed shards in order, each with its manifest files.

    Raises:
        RunError: a file is not a commit.
    """
    return read_commits(run, list_committed_shards(run))


def read_commits(run: RunPaths, shards: Iterable[int]) -> Iterator[tuple[int, list[ManifestFile]]]:
    """Read the commits of the given shards in order, each with its manifest files; several are read in parallel.

    Raises:
        RunError: a file is not a commit.
    """
    return prefetch_map(partial(read_commit, run), sorted(shards), _READ_THREADS, _MAX_COMMITS_AHEAD)


def read_commit(run: RunPaths, shard: int) -> list[ManifestFile]:
    """Read which manifest files the commit of a shard names.

    Raises:
        FileNotFoundError: the shard is not committed.
        RunError: the file is not a commit.
    """
    return list(read_shard_commit(run, shard).files)


def read_shard_commit(run: RunPaths, shard: int) -> ShardCommit:
    """Read the commit of a shard.

    Raises:
        FileNotFoundError: the shard is not committed.
        RunError: the file is not a commit.
    """
    data = read(run.commit(shard))
    try:
        record = json.loads(data)
        files = [{name: (_DEFAULTS | file)[name] for name in _FIELD_NAMES} for file in record["files"]]
        committed = record.get("committed")
        return ShardCommit(
            tuple(ManifestFile(**file) for file in files), committed and str(committed), sha256_hex(data)
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{run.commit(shard)} is not a commit of this version of deepot ({error})") from error
