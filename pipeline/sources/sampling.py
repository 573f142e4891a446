"""Sampling photos by a hash of their names, from a listing that is read for another purpose too."""

import heapq
from collections.abc import Iterable, Iterator
from operator import attrgetter

from pipeline.storage import Entry, sha256_hex


class HashSampler:
    """Select at most `limit` entries by the hashes of their keys: spread over all, and the same ones each time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heap: list[tuple[int, int, Entry]] = []  # the largest hash first
        self._n_seen = 0

    def tee(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Yield the entries unchanged; `selection` is complete once all have been read."""
        for entry in entries:
            self._n_seen += 1
            item = -int(sha256_hex(entry.key.encode()), 16), self._n_seen, entry
            if len(self._heap) < self._limit:
                heapq.heappush(self._heap, item)
            elif item > self._heap[0]:
                heapq.heapreplace(self._heap, item)
            yield entry

    def selection(self) -> list[Entry]:
        """Return the selected entries in the order of their keys."""
        return sorted((entry for *_, entry in self._heap), key=attrgetter("key"))


def sample_by_hash(entries: Iterable[Entry], limit: int) -> list[Entry]:
    """Return at most `limit` of the entries, in the order of their keys."""
    sampler = HashSampler(limit)
    for _ in sampler.tee(entries):
        pass
    return sampler.selection()
