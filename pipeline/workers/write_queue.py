"""Behind: results that are being encoded and stored while others are computed."""

from collections import deque
from concurrent.futures import Future
from typing import Any

_MAX_RESULTS_PER_WRITER, _MAX_PIXELS_PER_WRITER = 2, 12_000_000  # that wait for one writer: as many as both allow


class WriteQueue:
    """Results that are being encoded and stored while others are computed; how many is a matter of their pixels."""

    def __init__(self, writers: int) -> None:
        self._max_results, self._max_pixels = _MAX_RESULTS_PER_WRITER * writers, _MAX_PIXELS_PER_WRITER * writers
        self._futures: deque[tuple[Future[dict[str, Any]], int]] = deque()
        self._queued_pixels = 0

    def add(self, future: "Future[dict[str, Any]]", pixels: int) -> None:
        """One more."""
        self._futures.append((future, pixels))
        self._queued_pixels += pixels

    def drain_excess(self) -> list[dict[str, Any]]:
        """Rows of the oldest ones, waited for where there are too many."""
        rows = []
        while len(self._futures) > self._max_results or self._queued_pixels > self._max_pixels:
            rows.append(self._pop_oldest())
        return rows

    def drain(self) -> list[dict[str, Any]]:
        """Rows of the others."""
        return [self._pop_oldest() for _ in range(len(self._futures))]

    def _pop_oldest(self) -> dict[str, Any]:
        future, pixels = self._futures.popleft()
        self._queued_pixels -= pixels
        return future.result()
