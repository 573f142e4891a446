"""Reading the committed rows of a run, from its segments and from the manifest files of other shards."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import RunError, StorageError
from pipeline.runs.commits import CommitListing, ShardCommit, list_commits, parse_commit
from pipeline.runs.manifest import read_manifest_file
from pipeline.runs.manifest_schema import MANIFEST_SCHEMA, conform_to_schema
from pipeline.runs.paths import RunPaths, require_run
from pipeline.runs.segment_file import iter_segment_groups, list_segments, repair_advice, segment_files
from pipeline.runs.segments import (
    FEW_SHARDS,
    FoldedShards,
    OnUnreadable,
    SegmentLookup,
    Unreadable,
    iter_shard_commits,
    raise_unreadable,
)
from pipeline.runs.shard_set import ShardSet
from pipeline.storage import prefetch_map, read

_READ_THREADS, _MAX_SHARDS_AHEAD = 16, 64
_MAX_LISTINGS = 4  # garbage collections and compactions that may overtake one reader
_FAILURE_COLUMNS = ["file_name", "input_uri", "error_code", "error_message"]


@dataclass(frozen=True)
class CommittedRows:
    """Rows of one or several committed shards.

    Attributes:
        table: the rows, one shard after the other.
        shards: the numbers of the shards.
        n_rows: the number of rows of each.
        commits: the bytes of the commit of each.
        segment: the name of the segment that they were read from; None if they come from manifest files.
    """

    table: pa.Table
    shards: npt.NDArray[np.int64]
    n_rows: npt.NDArray[np.int64]
    commits: tuple[bytes, ...]
    segment: str | None = None

    def split(self, run: RunPaths) -> Iterator[tuple[int, ShardCommit, pa.Table]]:
        """Iterate over the shards, each with its commit and its rows."""
        start = 0
        for shard, length, data in zip(self.shards.tolist(), self.n_rows.tolist(), self.commits, strict=True):
            yield shard, parse_commit(run, shard, data), self.table.slice(start, length)
            start += length


def iter_committed_rows(
    run: RunPaths,
    columns: Sequence[str] | None = None,
    shards: ShardSet | None = None,
    on_unreadable: OnUnreadable = raise_unreadable,
    preferred: Collection[str] | None = None,
) -> Iterator[CommittedRows]:
    """Iterate over the rows of committed shards, each of which comes once; the order is that of the files.

    Every file is checked against its hash in the commit or in the index of the segment. Where a file is missing because
    its rows were folded into a segment since, they are read there.

    Args:
        run: the run.
        columns: names of the wanted columns; None for all of `MANIFEST_SCHEMA`.
        shards: the wanted shards; None for all.
        on_unreadable: called with each file that is missing, or is not the one that was committed; by default the error
            is raised. The rows of a segment are then read from manifest files.
        preferred: names of segments that are read sooner than others, and than manifest files.

    Raises:
        RunError: a file is missing, or is not the one that was committed.
        StorageError: a file cannot be read.
    """
    listing, reader = list_commits(run), _Reader(run, columns, on_unreadable, preferred or ())
    if shards is not None:
        listing = listing.only(shards)
    if preferred is None and len(listing.shards) <= FEW_SHARDS:
        yield from reader.read_manifest_files(listing.shards)
        listing = listing.only(reader.missing_shards)
    for _ in range(_MAX_LISTINGS):
        if not listing.shards:
            return
        reader.missing.clear()
        yield from reader.read(listing)
        missing = reader.missing_shards
        listing = list_commits(run).only(missing) if missing else listing.only(missing)
    for shard in listing.shards:
        on_unreadable(Unreadable(shard, *reader.missing[shard]))


class _Reader:
    """Reads the rows of shards, and notes the shards whose files are missing.

    Attributes:
        missing: the missing file of each such shard, and the error.
    """

    def __init__(
        self, run: RunPaths, columns: Sequence[str] | None, on_unreadable: OnUnreadable, preferred: Collection[str]
    ) -> None:
        self.missing = dict[int, tuple[str, RunError | FileNotFoundError]]()
        self._run, self._columns, self._on_unreadable = run, columns, on_unreadable
        self._preferred, self._unusable, self._reported = preferred, set[str](), set[str]()

    @property
    def missing_shards(self) -> ShardSet:
        """The shards whose files are missing."""
        return ShardSet(self.missing)

    def read(self, listing: CommitListing) -> Iterator[CommittedRows]:
        """Read the rows of shards from segments, and from manifest files if they are in none."""
        lookup = SegmentLookup(self._run, listing)
        names = [name for name in list_segments(self._run) if name not in self._unusable]
        names.sort(key=lambda name: name not in self._preferred)
        for folded in lookup.find(names, self._report):
            yield from self._read_segment(folded)
        yield from self.read_manifest_files(lookup.remaining)

    def read_manifest_files(self, shards: Iterable[int]) -> Iterator[CommittedRows]:
        """Read the rows of shards from their manifest files; those that were requeued have none."""
        for shard, found in prefetch_map(self._read_shard, shards, _READ_THREADS, _MAX_SHARDS_AHEAD):
            if isinstance(found, CommittedRows):
                yield found
            elif found is not None and isinstance(found.error, FileNotFoundError):
                self.missing[shard] = found.uri, _missing_file_error(self._run, shard, found.error)
            elif found is not None:
                self._report(found)

    def _report(self, unreadable: Unreadable) -> None:
        """Report a file once, however often it is tried."""
        if unreadable.uri not in self._reported:
            self._reported.add(unreadable.uri)
            self._on_unreadable(unreadable)

    def _read_segment(self, folded: FoldedShards) -> Iterator[CommittedRows]:
        segment = folded.segment
        try:
            for table, members in iter_segment_groups(self._run, segment, folded.kept, self._columns):
                commits = tuple(segment.commits[index] for index in members)
                yield CommittedRows(table, segment.shards[members], segment.n_rows[members], commits, segment.name)
        except (FileNotFoundError, RunError, StorageError) as error:  # before the first rows
            uri = self._run.segment(segment_files(segment.name)[0])
            if not isinstance(error, FileNotFoundError):
                self._report(Unreadable(None, uri, error))
            self._unusable.add(segment.name)
            self.missing |= {
                shard: (uri, _missing_file_error(self._run, shard, error))
                for shard in segment.shards[folded.kept].tolist()
            }

    def _read_shard(self, shard: int) -> CommittedRows | Unreadable | None:
        """Read the manifest files of a shard; None if it was requeued since the commits were listed."""
        uri = self._run.commit(shard)
        try:
            data = read(uri)
        except FileNotFoundError:
            return None
        except StorageError as error:
            return Unreadable(shard, uri, error)
        tables = []
        try:
            for file in parse_commit(self._run, shard, data).files:
                uri = self._run.manifest(file.name)
                tables.append(read_manifest_file(self._run, file, self._columns))
        except (FileNotFoundError, RunError, StorageError) as error:
            return Unreadable(shard, uri, error)
        table = pa.concat_tables(tables) if tables else conform_to_schema(pa.table({}), self._columns)
        return CommittedRows(table, np.array([shard]), np.array([len(table)]), (data,))


def _missing_file_error(run: RunPaths, shard: int, error: Exception) -> RunError:
    missing = RunError(f"a manifest file of shard {shard} is missing: {repair_advice(run)}")
    missing.__cause__ = error
    return missing


def iter_manifest_tables(run: RunPaths, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Iterate over the committed rows as tables of some thousand rows, or fewer where they are not folded yet.

    Args:
        run: the run.
        columns: names of the wanted columns; None for all.

    Raises:
        RunError: a file is missing, or is not the one that was committed.
    """
    return (rows.table for rows in iter_committed_rows(run, columns))


def read_manifest(run: RunPaths) -> pa.Table:
    """Read the complete committed manifest as one table, in the order of the shards.

    Raises:
        RunError: the folder is not that of a run, or a manifest file is missing or not the one that was committed.
    """
    require_run(run)
    found = list(iter_committed_rows(run))
    table = pa.concat_tables([MANIFEST_SCHEMA.empty_table(), *(rows.table for rows in found)])
    shards = np.concatenate([np.zeros(0, np.int64), *(np.repeat(rows.shards, rows.n_rows) for rows in found)])
    return table if np.all(shards[1:] >= shards[:-1]) else table.take(pa.array(np.argsort(shards, kind="stable")))


def find_shards_of_map(run: RunPaths, map_sha256: str) -> ShardSet:
    """Find the committed shards with rows that were made by the given map."""
    found = [np.zeros(0, np.int64)]
    for rows in iter_committed_rows(run, ["map_sha256"]):
        is_made = pc.fill_null(pc.equal(rows.table["map_sha256"], map_sha256), False).to_numpy()
        found.append(np.unique(np.repeat(rows.shards, rows.n_rows)[is_made]))
    return ShardSet(np.concatenate(found))


def read_shard_rows(
    run: RunPaths, shards: ShardSet, columns: Sequence[str], on_unreadable: OnUnreadable = raise_unreadable
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Iterate over the rows of some shards, each with the number of its shard; those that are not committed have none.

    Arguments and errors are those of `iter_committed_rows`.
    """
    for rows in iter_committed_rows(run, columns, shards, on_unreadable):
        yield from zip(np.repeat(rows.shards, rows.n_rows).tolist(), rows.table.to_pylist(), strict=True)


def list_failures(run: RunPaths, limit: int) -> list[dict[str, Any]]:
    """Return the rows of the first failed images of a run, at most `limit`; other shards' manifest files are not read.

    Returns:
        The rows' file_name, input_uri, error_code and error_message.
    """
    commits = iter_shard_commits(run, list_commits(run))
    failed = ((shard, sum(file.failed for file in commit.files)) for shard, commit in commits)
    needed, n_found = list[int](), 0
    for shard, count in sorted((shard, count) for shard, count in failed if count):
        needed.append(shard)
        n_found += count
        if n_found >= limit:
            break
    rows = read_shard_rows(run, ShardSet(needed), [*_FAILURE_COLUMNS, "status"])
    found = sorted(((shard, row) for shard, row in rows if row["status"] == "failed"), key=lambda each: each[0])
    return [{name: row[name] for name in _FAILURE_COLUMNS} for _, row in found[:limit]]
