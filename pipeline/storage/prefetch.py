"""Ahead: many small reads through threads, in order, with a bounded number of results held."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def prefetch_map(
    function: Callable[[T], R], items: Iterable[T], threads: int, max_held: int | None = None
) -> Iterator[tuple[T, R]]:
    """Items with what a function gives for them, in order; `max_held` of them, or as many as threads, are held at a time.

    What the function raises is raised when its item's turn comes.
    """
    remaining = iter(items)
    with ThreadPoolExecutor(threads, "ahead") as pool:
        while batch := list(islice(remaining, max_held or threads)):
            yield from zip(batch, pool.map(function, batch), strict=True)
