"""A bounded queue of results that threads encode and store."""

from collections import deque
from concurrent.futures import Future
from typing import Any

_MAX_RESULTS_PER_WRITER, _MAX_PIXELS_PER_WRITER = 2, 12_000_000  # queued for each writer thread; both limits hold


class WriteQueue:
    """Results that are being encoded and stored; their number and their pixels are bounded."""

    def __init__(self, n_writers: int) -> None:
        self._max_results, self._max_pixels = _MAX_RESULTS_PER_WRITER * n_writers, _MAX_PIXELS_PER_WRITER * n_writers
        self._futures: deque[tuple[Future[dict[str, Any]], int]] = deque()
        self._queued_pixels = 0

    def add(self, future: "Future[dict[str, Any]]", pixels: int) -> None:
        """Add a result with its number of pixels; the future gives its manifest row."""
        self._futures.append((future, pixels))
        self._queued_pixels += pixels

    def drain_excess(self) -> list[dict[str, Any]]:
        """Wait for the oldest results until the queue is within its bounds; returns their rows."""
        rows = []
        while len(self._futures) > self._max_results or self._queued_pixels > self._max_pixels:
            rows.append(self._pop_oldest())
        return rows

    def drain(self) -> list[dict[str, Any]]:
        """Wait for all results; returns their rows."""
        return [self._pop_oldest() for _ in range(len(self._futures))]

    def _pop_oldest(self) -> dict[str, Any]:
        future, pixels = self._futures.popleft()
        self._queued_pixels -= pixels
        return future.result()
