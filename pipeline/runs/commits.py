"""The commits of a run: one create-only file for each shard, which names the shard's manifest files."""

import hashlib
import json
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt

from pipeline.errors import RunError
from pipeline.runs.lease import check_lease
from pipeline.runs.paths import RunPaths
from pipeline.runs.plan import count_planned_images
from pipeline.runs.shard_counts import ShardCounts
from pipeline.runs.shard_set import Numbers, ShardSet
from pipeline.storage import create_if_absent, iter_etags, prefetch_map, read, sha256_hex, utc_timestamp

_READ_THREADS, _MAX_BATCH = 16, 32  # reading one commit over a network takes tens of milliseconds

_COMMIT_NAME, _MD5 = re.compile(r"(\d{5}|[1-9]\d{5,17})\.json"), re.compile("[0-9a-f]{32}")
_DIGEST_BYTES = 16

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

    @property
    def n_rows(self) -> int:
        """The number of its rows, whatever their status."""
        return sum(file.n_rows for file in self.files)

    @property
    def n_results(self) -> int:
        """The number of its rows with a result."""
        return sum(file.ok + file.rejected for file in self.files)


@dataclass(frozen=True)
class CommitListing:
    """The committed shards of a run, with what the listing itself shows of their commits.

    Attributes:
        shards: their numbers.
        digests: MD5 of each commit, as rows of two 64-bit halves, in the order of `shards`; rows of zeros where it is
            not known, and None if none is: only the listings of S3 have them, as ETags.
    """

    shards: ShardSet
    digests: npt.NDArray[np.uint64] | None

    def only(self, shards: ShardSet) -> "CommitListing":
        """Return the part of the listing that has these shards."""
        kept = self.shards & shards
        positions, _ = self.shards.positions(kept.numbers)
        return CommitListing(kept, None if self.digests is None else self.digests[positions])

    def proves(self, numbers: Numbers, commits: Sequence[bytes]) -> npt.NDArray[np.bool_]:
        """Return for each of some shards whether the listing proves that its commit has these bytes."""
        if self.digests is None or not commits:
            return np.zeros(len(numbers), bool)
        digests = b"".join(hashlib.md5(data, usedforsecurity=False).digest() for data in commits)
        positions, is_listed = self.shards.positions(numbers)
        is_same = self.digests[positions] == np.frombuffer(digests, np.uint64).reshape(-1, 2)
        proven: npt.NDArray[np.bool_] = is_listed & is_same.all(axis=1)
        return proven


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


def list_committed_shards(run: RunPaths) -> ShardSet:
    """List the numbers of the committed shards; only names are read."""
    return list_commits(run).shards


def list_commits(run: RunPaths) -> CommitListing:
    """List the commits of a run, with what the listing itself shows of their contents."""
    numbers, digests, n_known = array("q"), bytearray(), 0
    for name, etag in iter_etags(run.commit()):
        if match := _COMMIT_NAME.fullmatch(name):
            numbers.append(int(match[1]))
            is_digest = _MD5.fullmatch(etag) is not None
            digests += bytes.fromhex(etag) if is_digest else bytes(_DIGEST_BYTES)
            n_known += is_digest
    found = np.frombuffer(numbers, np.int64)
    shards, first = np.unique(found, return_index=True)
    if not n_known:
        return CommitListing(ShardSet(shards), None)
    return CommitListing(ShardSet(shards), np.frombuffer(digests, np.uint64).reshape(-1, 2)[first])


def count_uncommitted_images(run: RunPaths) -> ShardCounts:
    """Count the images of every planned shard without a commit, by shard number."""
    planned = count_planned_images(run)
    return planned.only(planned.shards - list_committed_shards(run))


def read_commits(run: RunPaths, shards: Numbers) -> Iterator[tuple[int, bytes | None]]:
    """Read the commits of shards, in the given order; several are read in parallel.

    Returns:
        The number of each shard, and the bytes of its commit; None if it is not committed.
    """

    def read_batch(batch: Numbers) -> list[bytes | None]:
        return [_read_if_there(run.commit(shard)) for shard in batch.tolist()]

    size = max(1, min(_MAX_BATCH, len(shards) // (4 * _READ_THREADS)))  # handing a batch to a thread takes time too
    batches = (shards[start : start + size] for start in range(0, len(shards), size))
    for batch, found in prefetch_map(read_batch, batches, _READ_THREADS, 4 * _READ_THREADS):
        yield from zip(batch.tolist(), found, strict=True)


def _read_if_there(uri: str) -> bytes | None:
    try:
        return read(uri)
    except FileNotFoundError:
        return None


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
    return parse_commit(run, shard, read(run.commit(shard)))


def parse_commit(run: RunPaths, shard: int, data: bytes) -> ShardCommit:
    """Return what the bytes of a shard's commit mean.

    Raises:
        RunError: they are no commit.
    """
    try:
        record = json.loads(data)
        files = [{name: (_DEFAULTS | file)[name] for name in _FIELD_NAMES} for file in record["files"]]
        committed = record.get("committed")
        return ShardCommit(
            tuple(ManifestFile(**file) for file in files), committed and str(committed), sha256_hex(data)
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{run.commit(shard)} is not a commit of this version of deepot ({error})") from error
