"""Folding the rows and commits of many shards into segments, which readers then read instead.

Nothing is changed or removed, and whatever is interrupted leaves complete segments: a segment is a copy, and counts for
a shard only while it has the bytes of the shard's commit. So neither a lease nor a lock is needed, and two compactions
at the same time only do the same work twice.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import RunError
from pipeline.runs.commits import ManifestFile, list_commits, parse_commit
from pipeline.runs.manifest import parse_manifest_file, read_checked
from pipeline.runs.manifest_schema import check_known_columns
from pipeline.runs.paths import RunPaths, require_run
from pipeline.runs.segment_file import (
    ROWS_PER_SEGMENT,
    SegmentWriter,
    iter_segment_groups,
    list_segments,
    next_generation,
    read_segment,
)
from pipeline.runs.segments import FoldedShards, SegmentLookup
from pipeline.runs.shard_set import ShardSet
from pipeline.storage import prefetch_map, read

log = logging.getLogger(__name__)

_READ_THREADS, _MAX_SHARDS_AHEAD = 16, 64
_SMALL_SEGMENT_ROWS = ROWS_PER_SEGMENT // 2  # a segment with fewer rows that count is merged with others

ShardRows = tuple[int, bytes, pa.Table]  # a shard, the bytes of its commit, and its rows


@dataclass(frozen=True)
class CompactionSummary:
    """What a compaction did.

    Attributes:
        segments: segments that were written.
        shards: shards that they hold.
        rows: their rows.
        left_out: shards whose files are missing or changed, or hold columns of a newer version of deepot.
    """

    segments: int = 0
    shards: int = 0
    rows: int = 0
    left_out: int = 0


def compact_run(run: RunPaths, min_shards: int = 1) -> CompactionSummary:
    """Fold the rows of all shards that are in no segment into segments, and merge segments that have become small.

    Holds the compressed rows of one segment. Interrupted or called again, it goes on with what is left.

    Args:
        run: the run.
        min_shards: nothing is done with fewer shards than these outside of segments.

    Raises:
        RunError: the folder is not that of a run, or the index of a segment is not one of this version of deepot.
        StorageError: storage does not give or take a file.
    """
    require_run(run)
    listing = list_commits(run)
    if len(listing.shards) < min_shards:
        return CompactionSummary()
    names = list_segments(run)
    if min_shards > 1 and len(listing.shards - _list_folded_shards(run, names)) < min_shards:
        return CompactionSummary()
    lookup = SegmentLookup(run, listing)
    small = [folded for folded in lookup.find(names) if _count_rows(folded) < _SMALL_SEGMENT_ROWS]
    new = lookup.remaining
    if len(new) < min_shards and (new or not _pays_to_merge(small)):
        return CompactionSummary()
    return _write_segments(run, _Source(run, small, new), next_generation(names))


def fold_shards(run: RunPaths, shards: ShardSet, is_stopped: Callable[[], bool] = lambda: False) -> CompactionSummary:
    """Fold the rows of committed shards into segments, without looking at those that exist; errors as `compact_run`.

    Args:
        run: the run.
        shards: the shards.
        is_stopped: asked before each shard; once it returns True, no further shard is read.
    """
    wanted = takewhile(lambda _: not is_stopped(), shards)
    return _write_segments(run, _Source(run, [], wanted), next_generation(list_segments(run)))


def _list_folded_shards(run: RunPaths, names: Iterable[str]) -> ShardSet:
    """List the shards that segments hold, whether their rows count or not."""
    found = [np.zeros(0, np.int64)]
    for name in names:
        with suppress(FileNotFoundError):
            found.append(read_segment(run, name).shards)
    return ShardSet(np.concatenate(found))


def _count_rows(folded: FoldedShards) -> int:
    return int(folded.segment.n_rows[folded.kept].sum())


def _pays_to_merge(small: list[FoldedShards]) -> bool:
    """Whether merging makes fewer segments of these."""
    return len(small) > max(1, -(-sum(map(_count_rows, small)) // ROWS_PER_SEGMENT))


def _write_segments(run: RunPaths, source: "_Source", generation: int) -> CompactionSummary:
    """Write the rows of a source as segments of this generation."""
    n_segments = n_shards = n_rows = 0
    writer = SegmentWriter(run)
    for shard, commit, rows in source:
        writer.add(shard, commit, rows)
        n_shards, n_rows = n_shards + 1, n_rows + len(rows)
        if writer.n_rows >= ROWS_PER_SEGMENT:
            writer.publish(generation)
            n_segments, writer = n_segments + 1, SegmentWriter(run)
    if writer.n_rows:
        writer.publish(generation)
        n_segments += 1
    if n_segments:
        log.info("%d shards with %d rows are folded into %d segments", n_shards, n_rows, n_segments)
    return CompactionSummary(n_segments, n_shards, n_rows, source.n_left_out)


class _Source:
    """The rows that a compaction folds.

    Attributes:
        n_left_out: shards that could not be read so far.
    """

    def __init__(self, run: RunPaths, small: list[FoldedShards], new: Iterable[int]) -> None:
        self.n_left_out = 0
        self._run, self._small, self._new = run, small, new

    def __iter__(self) -> Iterator[ShardRows]:
        for folded in sorted(self._small, key=lambda folded: int(folded.segment.shards[folded.kept].min())):
            yield from self._read_segment(folded)
        for shard, found in prefetch_map(self._read_shard, self._new, _READ_THREADS, _MAX_SHARDS_AHEAD):
            if isinstance(found, RunError | FileNotFoundError):
                self.n_left_out += 1
                log.warning("shard %d is not folded: %s", shard, found, extra={"shard": shard})
            elif found is not None:
                yield found

    def _read_segment(self, folded: FoldedShards) -> Iterator[ShardRows]:
        segment = folded.segment
        try:
            for table, members in iter_segment_groups(self._run, segment, folded.kept, None, only_known_columns=True):
                ends = np.cumsum(segment.n_rows[members])
                for index, end in zip(members.tolist(), ends.tolist(), strict=True):
                    length = int(segment.n_rows[index])
                    yield int(segment.shards[index]), segment.commits[index], table.slice(end - length, length)
        except (RunError, FileNotFoundError) as error:  # before the first rows
            self.n_left_out += int(folded.kept.sum())
            log.warning("segment %s is not merged with others: %s", segment.name, error)

    def _read_shard(self, shard: int) -> ShardRows | RunError | FileNotFoundError | None:
        """Read the rows of a shard; None if it was requeued since the commits were listed, or has no rows.

        Returns an error instead of the rows if a manifest file is missing, has changed or has unknown columns.
        """
        try:
            data = read(self._run.commit(shard))
        except FileNotFoundError:
            return None
        try:
            commit = parse_commit(self._run, shard, data)
            tables = [self._read_file(file) for file in commit.files if file.n_rows]
        except (RunError, FileNotFoundError) as error:
            return error
        return (shard, data, pa.concat_tables(tables)) if tables else None

    def _read_file(self, file: ManifestFile) -> pa.Table:
        uri, data = self._run.manifest(file.name), read_checked(self._run, file)
        table = parse_manifest_file(uri, data)
        check_known_columns(pq.read_schema(pa.BufferReader(data)), uri)
        if len(table) != file.n_rows:
            raise RunError(f"{uri} has {len(table)} rows, and its commit counts {file.n_rows}")
        return table
