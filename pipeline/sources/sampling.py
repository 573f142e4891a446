"""Sample: photos chosen by a hash of their names, out of a listing that may be going elsewhere."""

import heapq
from collections.abc import Iterable, Iterator
from operator import attrgetter

from pipeline.storage.objects import Entry, sha256


class Sampler:
    """Chooses at most `limit` entries by the hashes of their keys: from all over, and the same ones each time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: list[tuple[int, int, Entry]] = []  # a heap, the largest hash first
        self._seen = 0

    def watch(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Entries as they are; what is chosen of them is known once they have all been drawn."""
        for entry in entries:
            self._seen += 1
            item = -int(sha256(entry.key.encode()), 16), self._seen, entry
            if len(self._held) < self._limit:
                heapq.heappush(self._held, item)
            elif item > self._held[0]:
                heapq.heapreplace(self._held, item)
            yield entry

    def chosen(self) -> list[Entry]:
        """The chosen ones in the order of their keys."""
        return sorted((entry for *_, entry in self._held), key=attrgetter("key"))


def sample(entries: Iterable[Entry], limit: int) -> list[Entry]:
    """At most `limit` of the entries, in the order of their keys."""
    sampler = Sampler(limit)
    for _ in sampler.watch(entries):
        pass
    return sampler.chosen()
