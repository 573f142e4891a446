"""Pace: how fast images are finished, from looks at how many are."""

from collections import deque

WINDOW_S = 600.0
"""Looks that are older than this do not count."""


class Pace:
    """Images a second over the last ten minutes, or since the first look."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int]] = deque()

    def look(self, at_s: float, done: int) -> None:
        """So many images are done at a time of a monotonic clock; fewer than before begin anew."""
        if self._looks and done < self._looks[-1][1]:
            self._looks.clear()
        self._looks.append((at_s, done))
        while len(self._looks) > 2 and self._looks[1][0] <= at_s - WINDOW_S:
            self._looks.popleft()

    @property
    def images_per_s(self) -> float | None:
        """The rate; None as long as no image was finished between looks."""
        if not self._looks:
            return None
        (begun, before), (at, done) = self._looks[0], self._looks[-1]
        return (done - before) / (at - begun) if done > before and at > begun else None

    def left_s(self, images: int) -> float | None:
        """Seconds for so many images more at this rate; None where there is none."""
        rate = self.images_per_s
        return images / rate if rate else None
