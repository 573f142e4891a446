"""The throughput of a run, from repeated counts of its finished images."""

from collections import deque

WINDOW_S = 600.0
"""The length of the window over which the throughput is measured."""


class ThroughputMeter:
    """Images per second over the last ten minutes, or since the first observation."""

    def __init__(self) -> None:
        self._observations: deque[tuple[float, int]] = deque()

    def add(self, time_s: float, done: int) -> None:
        """Add an observation; a smaller count than before starts the measurement anew.

        Args:
            time_s: when it was made, in seconds of a monotonic clock.
            done: the number of finished images.
        """
        if self._observations and done < self._observations[-1][1]:
            self._observations.clear()
        self._observations.append((time_s, done))
        while len(self._observations) > 2 and self._observations[1][0] <= time_s - WINDOW_S:
            self._observations.popleft()

    @property
    def images_per_s(self) -> float | None:
        """The throughput; None until an image was finished between two observations."""
        if not self._observations:
            return None
        (first_s, first_done), (last_s, last_done) = self._observations[0], self._observations[-1]
        return (last_done - first_done) / (last_s - first_s) if last_done > first_done and last_s > first_s else None

    def remaining_s(self, images: int) -> float | None:
        """Return the seconds that this many more images take; None while the throughput is unknown."""
        rate = self.images_per_s
        return images / rate if rate else None
