"""Counting the photos that an export leaves out, and naming the first of them."""

MAX_NAMED = 1000
"""Photos that were not exported and that a result names."""


class SkippedPhotos:
    """Counts photos that are not exported.

    Attributes:
        first: name and reason of the first ones, at most `MAX_NAMED`.
        count: the number of all.
    """

    def __init__(self) -> None:
        self.first, self.count = list[tuple[str, str]](), 0

    def add(self, name: str, reason: str) -> None:
        """Count a photo."""
        self.count += 1
        if len(self.first) < MAX_NAMED:
            self.first.append((name, reason))
