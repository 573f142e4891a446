"""Calling a function for many items through threads, in a sliding window that keeps their order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def prefetch_map(
    function: Callable[[T], R], items: Iterable[T], threads: int, max_held: int | None = None
) -> Iterator[tuple[T, R]]:
    """Yield every item with the function's result for it, in the order of the items.

    The next item begins as soon as a thread is free and the window has room, so a slow item holds back the results
    after it and not their work. What the function, or the iterable, raises is raised at its turn. Closing the generator
    cancels the items that have not begun and waits for those that have.

    Args:
        function: called in one of the threads.
        items: read in the calling thread, never more than `max_held` ahead.
        threads: the most calls at a time.
        max_held: the most items that are begun and not finished with by the caller; as many as threads by default.
    """
    remaining, window_size = iter(items), max_held or threads
    window = deque[tuple[T, Future[R]]]()
    source_error: Exception | None = None
    exhausted = False
    pool = ThreadPoolExecutor(threads, "prefetch")
    try:
        while True:
            while not exhausted and len(window) < window_size:
                try:
                    item = next(remaining)
                except StopIteration:
                    exhausted = True
                except Exception as error:
                    exhausted, source_error = True, error
                else:
                    window.append((item, pool.submit(function, item)))
            if not window:
                break
            item, future = window.popleft()
            yield item, future.result()
            del item, future  # their memory, before the next item is begun
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if source_error is not None:
        raise source_error
