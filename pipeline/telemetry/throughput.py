"""Pace: how fast images are finished, from looks at how many are."""

from collections import deque

WINDOW_S = 600.0
"""Looks that are older than this do not count."""


class ThroughputMeter:
    """Images a second over the last ten minutes, or since the first look."""

    def __init__(self) -> None:
        self._observations: deque[tuple[float, int]] = deque()

    def add(self, time_s: float, done: int) -> None:
        """So many images are done at a time of a monotonic clock; fewer than before begin anew."""
        if self._observations and done < self._observations[-1][1]:
            self._observations.clear()
        self._observations.append((time_s, done))
        while len(self._observations) > 2 and self._observations[1][0] <= time_s - WINDOW_S:
            self._observations.popleft()

    @property
    def images_per_s(self) -> float | None:
        """The rate; None as long as no image was finished between looks."""
        if not self._observations:
            return None
        (first_s, first_done), (last_s, last_done) = self._observations[0], self._observations[-1]
        return (last_done - first_done) / (last_s - first_s) if last_done > first_done and last_s > first_s else None

    def remaining_s(self, images: int) -> float | None:
        """Seconds for so many images more at this rate; None where there is none."""
        rate = self.images_per_s
        return images / rate if rate else None
