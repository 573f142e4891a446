"""Photos of a listing whose names show that no result can be written for them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline.imageio import find_unwritable_format
from pipeline.storage import Entry

_MAX_NAMES = 3


@dataclass(frozen=True)
class UnwritableNames:
    """Photos of a format, by their names, that is read and not written.

    Attributes:
        n_photos: how many there are.
        first_names: the keys of the first of them.
        format_names: their formats.
    """

    n_photos: int = 0
    first_names: tuple[str, ...] = ()
    format_names: tuple[str, ...] = ()


class UnwritableNamesCounter:
    """Counts the photos whose names rule out a result; holds the first names only."""

    def __init__(self, format_spec: str) -> None:
        """Begin with nothing.

        Args:
            format_spec: the job's `output.format`.
        """
        self._format_spec = format_spec
        self.found = UnwritableNames()

    def tee(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Yield the entries unchanged; `found` is complete once all have been read."""
        for entry in entries:
            if format_name := find_unwritable_format(entry.key, self._format_spec):
                known, names = self.found, self.found.first_names
                self.found = UnwritableNames(
                    known.n_photos + 1,
                    (*names, entry.key) if len(names) < _MAX_NAMES else names,
                    tuple(dict.fromkeys((*known.format_names, format_name))),
                )
            yield entry
