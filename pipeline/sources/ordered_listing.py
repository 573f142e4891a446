"""A listing in the order of keys, of which the files below a folder can be taken together."""

from collections.abc import Iterator

from pipeline.storage import Entry


class OrderedListing:
    """An iterator over a listing that knows the next file.

    Attributes:
        n_listed: files that have been taken.
    """

    def __init__(self, entries: Iterator[Entry]) -> None:
        self._entries = entries
        self._next: Entry | None = None
        self.n_listed = 0

    def __iter__(self) -> Iterator[Entry]:
        return self.take_below("")

    def take_below(self, prefix: str) -> Iterator[Entry]:
        """Yield the next files as long as their keys begin with a prefix."""
        while (entry := self._peek()) is not None and entry.key.startswith(prefix):
            self._next, self.n_listed = None, self.n_listed + 1
            yield entry

    def _peek(self) -> Entry | None:
        if self._next is None:
            self._next = next(self._entries, None)
        return self._next
