"""What an export has written, and which photos it has left out."""

from dataclasses import dataclass

from pipeline.curation import SkippedPhotos


@dataclass(frozen=True)
class ExportSummary:
    """What an export has written.

    Attributes:
        uri: the folder.
        photos: photos whose result was exported.
        files: files of photos, those of originals included.
        size: bytes of these files.
        skipped: name and reason of the first photos without an exported result, at most `pipeline.curation.MAX_NAMED`.
        n_skipped: the number of such photos.
    """

    uri: str
    photos: int
    files: int
    size: int
    skipped: tuple[tuple[str, str], ...] = ()
    n_skipped: int = 0


class ExportCounter:
    """Counts what an export writes, and holds the first of the photos that it leaves out."""

    def __init__(self) -> None:
        self.photos = self.files = self.size = 0
        self.skipped = SkippedPhotos()

    def add_file(self, size: int) -> None:
        """Count a file of this many bytes."""
        self.files += 1
        self.size += size

    def skip(self, file_name: str, reason: str) -> None:
        """Count a photo without an exported result."""
        self.skipped.add(file_name, reason)

    def summarize(self, uri: str) -> ExportSummary:
        """Return the totals."""
        return ExportSummary(uri, self.photos, self.files, self.size, tuple(self.skipped.first), self.skipped.count)
