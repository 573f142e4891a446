"""Groups of 64-bit hashes that chains of small Hamming distances join."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Hashes: TypeAlias = npt.NDArray[np.uint64]
Integers: TypeAlias = npt.NDArray[np.intp]

_HASH_BITS = 64
_MAX_DIRECT = 512  # hashes of a bucket whose pairs are all compared; larger ones may be split by other bits
_BLOCK = 1 << 17  # comparisons at a time, whose 8 bytes each fit a cache
_BLOCK_ROWS = 256
_SORT_COST = 50  # what sorting a hash into a bucket costs, in comparisons
_MIN_GAIN = 0.8  # a bucket is split if that leaves at most this fraction of its comparisons
_DOMINANT_GAIN = 0.25  # the same as it is expected of a bucket with more than half of the hashes
_MERGE_FRACTION = 16  # groups are merged after each band of a bucket with more than this fraction of all hashes


@dataclass(frozen=True)
class HashGroups:
    """Groups of hashes.

    Attributes:
        labels: the number of the group of each hash, from 0.
        n_comparisons: how many pairs of hashes were compared.
    """

    labels: Integers
    n_comparisons: int


def group_by_distance(hashes: Hashes, max_distance: int) -> HashGroups:
    """Group hashes that differ in at most `max_distance` bits, or that a chain of such hashes joins.

    The groups are those of comparing all pairs. If two hashes differ in at most k bits, they agree in at least one of
    k + 1 bands of bits, so only hashes that agree in a band are compared (Manku, Jain, Das Sarma 2007). A bucket of
    many such hashes is split likewise, by the bits in which its hashes differ. Hashes that are known to be in one group
    are not compared with each other.

    Args:
        hashes: n hashes, which may be equal.
        max_distance: from 0 to 63 bits.
    """
    distinct, inverse = np.unique(hashes, return_inverse=True)
    search = _Search(distinct, max_distance)
    if max_distance and len(distinct):
        search.link(np.arange(len(distinct)))
        search.groups.merge()
    return HashGroups(search.groups.of[inverse], search.n_comparisons)


class _Groups:
    """The groups of some hashes as far as they are known.

    Attributes:
        of: the number of the group of each hash, from 0, without the links since the last merge.
    """

    def __init__(self, groups: Integers) -> None:
        _, self.of = np.unique(groups, return_inverse=True)
        self._count = int(self.of.max(initial=-1)) + 1
        self._links: list[tuple[Integers, Integers]] = []
        self._n_links = 0

    def link(self, first: Integers, second: Integers) -> None:
        """Put the hashes at some positions into one group with those at others, one by one."""
        first, second = self.of[first], self.of[second]
        differ = first != second
        self._links.append((first[differ], second[differ]))
        self._n_links += int(differ.sum())
        if self._n_links > max(len(self.of), _BLOCK):
            self.merge()

    def merge(self) -> None:
        """Make one group of all groups that are linked."""
        if self._n_links:
            first, second = (np.concatenate(ends) for ends in zip(*self._links, strict=True))
            graph = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(self._count, self._count))
            self._count, merged = connected_components(graph, directed=False)
            self.of = merged.astype(np.intp)[self.of]
        self._links, self._n_links = [], 0

    def in_largest(self) -> npt.NDArray[np.bool_]:
        """Return which hashes are in the largest group."""
        largest: np.intp = np.bincount(self.of).argmax()
        in_largest: npt.NDArray[np.bool_] = self.of == largest
        return in_largest

    def first_positions(self) -> Integers:
        """Return for every hash the position of the first one in its group."""
        first: Integers = np.unique(self.of, return_index=True)[1]
        return first[self.of]


class _Search:
    """The search for all pairs of distinct hashes that differ in few bits, as far as their groups are not known."""

    def __init__(self, hashes: Hashes, max_distance: int) -> None:
        self._hashes, self._max_distance = hashes, max_distance
        self.groups = _Groups(np.arange(len(hashes)))
        self.n_comparisons = 0

    def link(self, members: Integers) -> None:
        """Link all pairs among some hashes that differ in few bits, unless they are known to be in one group."""
        groups = self.groups.of[members]
        if np.all(groups == groups[0]):
            return
        values = self._hashes[members]
        bits = _differing_bits(values)
        if len(bits) <= self._max_distance:
            self.groups.link(members[1:], members[:-1])
            return
        bands = [_Band(members, values & mask) for mask in _band_masks(bits, self._max_distance + 1)]
        if not self._pays_to_split(members, bands):
            self._compare_rows(members)
            return
        for band in sorted(bands, key=lambda band: band.n_pairs):
            self._link_band(band)
            if len(members) > len(self._hashes) // _MERGE_FRACTION:
                self.groups.merge()

    def _pays_to_split(self, members: Integers, bands: list["_Band"]) -> bool:
        """Whether splitting a bucket into bands leaves clearly fewer comparisons than comparing rows does."""
        size = len(members)
        n_others = size - np.unique(self.groups.of[members], return_counts=True)[1].max()
        n_left = sum(band.n_pairs for band in bands)
        for largest in (int(band.sizes.max()) for band in bands):
            if largest > size / 2:
                n_left -= (1 - _DOMINANT_GAIN) * largest * largest / 2
        return bool(n_left + _SORT_COST * size * len(bands) < _MIN_GAIN * min(size / 2, n_others) * size)

    def _link_band(self, band: "_Band") -> None:
        """Link the hashes of every bucket of a band."""
        groups = self.groups.of[band.members]
        differ = np.minimum.reduceat(groups, band.starts) != np.maximum.reduceat(groups, band.starts)
        is_small = band.sizes <= _MAX_DIRECT
        for starts, sizes in _blocks(band.starts[differ & is_small], band.sizes[differ & is_small]):
            self._compare_buckets(band.members, starts, sizes)
        for start, size in zip(*(each[differ & ~is_small] for each in (band.starts, band.sizes)), strict=True):
            self.link(band.members[start : start + size])

    def _compare_buckets(self, members: Integers, starts: Integers, sizes: Integers) -> None:
        """Compare all pairs within some small buckets, all at once."""
        offsets = np.minimum(np.arange(sizes.max()), sizes[:, None] - 1)  # fills up with a bucket's last hash
        chosen = members[starts[:, None] + offsets]
        values = self._hashes[chosen]
        near = np.bitwise_count(values[:, :, None] ^ values[:, None, :]) <= self._max_distance
        self.n_comparisons += int((sizes * (sizes - 1) // 2).sum())
        bucket, row, column = np.nonzero(near)
        self.groups.link(chosen[bucket, row], chosen[bucket, column])

    def _compare_rows(self, members: Integers) -> None:
        """Compare all pairs within a bucket, some rows at a time, until all others are in its largest group."""
        values, groups = self._hashes[members], _Groups(self.groups.of[members])
        is_left = np.ones(len(members), bool)
        while len(rows := np.flatnonzero(is_left & ~groups.in_largest())[:_BLOCK_ROWS]):
            columns = np.flatnonzero(is_left)
            width = _BLOCK // len(rows)
            for start in range(0, len(columns), width):
                block = columns[start : start + width]
                near = np.bitwise_count(values[rows][:, None] ^ values[block]) <= self._max_distance
                self.n_comparisons += near.size
                row, column = np.nonzero(near)
                groups.link(rows[row], block[column])
            groups.merge()
            is_left[rows] = False
        self.groups.link(members, members[groups.first_positions()])


class _Band:
    """Hashes sorted by some of their bits, into buckets that agree in them.

    Attributes:
        members: the hashes.
        starts: where the buckets with more than one hash start.
        sizes: their numbers of hashes.
        n_pairs: the number of pairs within buckets.
    """

    def __init__(self, members: Integers, keys: Hashes) -> None:
        order = np.argsort(keys)
        keys = keys[order]
        starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        sizes = np.diff(starts, append=len(keys))
        self.members = members[order]
        self.starts, self.sizes = starts, sizes
        self.n_pairs = float((sizes * (sizes - 1.0)).sum()) / 2


def _blocks(starts: Integers, sizes: Integers) -> Iterator[tuple[Integers, Integers]]:
    """Divide buckets into blocks of about the same size, which are compared at once."""
    order = np.argsort(sizes)
    starts, sizes = starts[order], sizes[order]
    begin = 0
    while begin < len(sizes):
        count = max(1, _BLOCK // int(sizes[begin]) ** 2)
        end = begin + max(1, min(count, _BLOCK // int(sizes[min(begin + count, len(sizes)) - 1]) ** 2))
        yield starts[begin:end], sizes[begin:end]
        begin = end


def _differing_bits(values: Hashes) -> list[int]:
    """Return the bits in which not all hashes agree."""
    differing = int(np.bitwise_or.reduce(values) & ~np.bitwise_and.reduce(values))
    return [bit for bit in range(_HASH_BITS) if differing >> bit & 1]


def _band_masks(bits: list[int], count: int) -> list[np.uint64]:
    """Divide bits into bands of about the same number of bits, each as a mask."""
    edges = [len(bits) * band // count for band in range(count + 1)]
    return [np.uint64(sum(1 << bit for bit in bits[start:stop])) for start, stop in pairwise(edges)]
