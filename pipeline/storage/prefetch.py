"""Ahead: many small reads through threads, in order, with a bounded number of results held."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def read_ahead(
    function: Callable[[T], R], items: Iterable[T], threads: int, most: int | None = None
) -> Iterator[tuple[T, R]]:
    """Items with what a function gives for them, in order; `most` of them, or as many as threads, are held at a time.

    What the function raises is raised when its item's turn comes.
    """
    waiting = iter(items)
    with ThreadPoolExecutor(threads, "ahead") as pool:
        while some := list(islice(waiting, most or threads)):
            yield from zip(some, pool.map(function, some), strict=True)
