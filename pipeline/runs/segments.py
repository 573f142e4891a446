"""Which rows of a run's segments count: those of shards whose commit is still the one that they were read with."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from pipeline.errors import RunError, StorageError
from pipeline.runs.commits import CommitListing, ShardCommit, parse_commit, read_commits
from pipeline.runs.paths import RunPaths
from pipeline.runs.segment_file import INDEX_SUFFIX, Segment, list_segments, read_segment
from pipeline.runs.shard_set import ShardSet

FEW_SHARDS = 256
"""Shards whose own files are read sooner than the indexes of all segments."""


class Unreadable(NamedTuple):
    """A file of a run that cannot be read.

    Attributes:
        shard: the shard that it belongs to; None for a segment.
        uri: the file.
        error: why.
    """

    shard: int | None
    uri: str
    error: RunError | StorageError | FileNotFoundError


OnUnreadable: TypeAlias = Callable[[Unreadable], object]


def raise_unreadable(unreadable: Unreadable) -> None:
    """Raise the error of a file that cannot be read."""
    raise unreadable.error


@dataclass(frozen=True)
class FoldedShards:
    """The shards whose rows are read from a segment.

    Attributes:
        segment: the segment.
        kept: for each of its shards, whether its rows count.
    """

    segment: Segment
    kept: npt.NDArray[np.bool_]


class SegmentLookup:
    """Finds for each shard of a listing the segment with its rows, if there is one.

    A segment has the rows of a shard if it has the bytes of its present commit. The listing proves that where it has
    hashes of contents; elsewhere the commit is read. Of several segments the first one counts, so that no row comes
    twice.
    """

    def __init__(self, run: RunPaths, listing: CommitListing) -> None:
        self._run, self._listing = run, listing
        self._is_open = np.ones(len(listing.shards), bool)

    @property
    def remaining(self) -> ShardSet:
        """The shards that are in none of the segments so far."""
        return ShardSet(self._listing.shards.numbers[self._is_open])

    def find(self, names: Iterable[str], on_unreadable: OnUnreadable = raise_unreadable) -> Iterator[FoldedShards]:
        """Iterate over those of the named segments that have rows which count, in the given order.

        Segments that are missing are left out.

        Args:
            names: names of segments.
            on_unreadable: called with each index that cannot be read, or is not one of this version of deepot.
        """
        for name in names:
            if not self._is_open.any():
                return
            try:
                segment = read_segment(self._run, name)
            except FileNotFoundError:
                continue  # removed since it was listed
            except (RunError, StorageError) as error:
                on_unreadable(Unreadable(None, self._run.segment(name + INDEX_SUFFIX), error))
                continue
            kept = self._match(segment)
            if kept.any():
                yield FoldedShards(segment, kept)

    def _match(self, segment: Segment) -> npt.NDArray[np.bool_]:
        """Return which shards of a segment count, and close them."""
        positions, is_listed = self._listing.shards.positions(segment.shards)
        if not len(self._is_open):
            return is_listed
        candidates = np.flatnonzero(is_listed & self._is_open[positions])
        commits = [segment.commits[index] for index in candidates]
        is_same = self._listing.proves(segment.shards[candidates], commits)
        unproven = candidates[~is_same]
        present = read_commits(self._run, segment.shards[unproven])
        is_missing = np.zeros(len(segment.shards), bool)
        kept = np.zeros(len(segment.shards), bool)
        kept[candidates[is_same]] = True
        for index, (_, data) in zip(unproven, present, strict=True):
            kept[index], is_missing[index] = data == segment.commits[index], data is None
        self._is_open[positions[kept | is_missing]] = False
        return kept


def iter_shard_commits(
    run: RunPaths, listing: CommitListing, on_unreadable: OnUnreadable = raise_unreadable
) -> Iterator[tuple[int, ShardCommit]]:
    """Iterate over the commits of a listing, in no particular order; those that were revoked since are left out.

    Commits whose contents the listing proves are read from the indexes of segments, many at a time.

    Args:
        run: the run.
        listing: the commits.
        on_unreadable: called with each file that is no commit, or no index of a segment.
    """
    remaining = listing.shards
    if listing.digests is not None and len(remaining) > FEW_SHARDS:
        lookup = SegmentLookup(run, listing)
        for folded in lookup.find(list_segments(run), on_unreadable):
            for index in np.flatnonzero(folded.kept):
                shard = int(folded.segment.shards[index])
                yield shard, parse_commit(run, shard, folded.segment.commits[index])
        remaining = lookup.remaining
    for shard, data in read_commits(run, remaining.numbers):
        if data is None:
            continue
        try:
            commit = parse_commit(run, shard, data)
        except RunError as error:
            on_unreadable(Unreadable(shard, run.commit(shard), error))
        else:
            yield shard, commit
