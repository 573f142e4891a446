"""Behind: results that are being encoded and stored while others are computed."""

from collections import deque
from concurrent.futures import Future
from typing import Any

_MOST, _MOST_PIXELS = 2, 12_000_000  # that wait for one writer: as many as both allow


class Behind:
    """Results that are being encoded and stored while others are computed; how many is a matter of their pixels."""

    def __init__(self, writers: int) -> None:
        self._most, self._most_pixels = _MOST * writers, _MOST_PIXELS * writers
        self._writing: deque[tuple[Future[dict[str, Any]], int]] = deque()
        self._pixels = 0

    def add(self, writing: "Future[dict[str, Any]]", pixels: int) -> None:
        """One more."""
        self._writing.append((writing, pixels))
        self._pixels += pixels

    def overdue(self) -> list[dict[str, Any]]:
        """Rows of the oldest ones, waited for where there are too many."""
        rows = []
        while len(self._writing) > self._most or self._pixels > self._most_pixels:
            rows.append(self._oldest())
        return rows

    def all(self) -> list[dict[str, Any]]:
        """Rows of the others."""
        return [self._oldest() for _ in range(len(self._writing))]

    def _oldest(self) -> dict[str, Any]:
        writing, pixels = self._writing.popleft()
        self._pixels -= pixels
        return writing.result()
