"""Merging sorted streams, each of which is opened when the merge has reached its first item."""

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def merge_lazily(streams: Iterable[tuple[str, Callable[[], Iterator[T]]]], sort_key: Callable[[T], str]) -> Iterator[T]:
    """Merge streams that are sorted by a key, as `heapq.merge` does, with as few of them open as possible.

    Args:
        streams: for each stream the key of its first item, and what opens it.
        sort_key: returns the key of an item. Items of the same key come in the order of the streams.
    """
    waiting = sorted(((first, place, open_stream) for place, (first, open_stream) in enumerate(streams)), reverse=True)
    heads: list[tuple[str, int, T, Iterator[T]]] = []

    def push(place: int, stream: Iterator[T]) -> None:
        for item in stream:
            heapq.heappush(heads, (sort_key(item), place, item, stream))
            return

    while waiting or heads:
        while waiting and (not heads or waiting[-1][0] <= heads[0][0]):
            _, place, open_stream = waiting.pop()
            push(place, open_stream())
        if heads:
            _, place, item, stream = heapq.heappop(heads)
            yield item
            push(place, stream)
