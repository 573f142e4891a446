"""Progress: what a stage tells while it works; who shows it is not the pipeline's business."""

from typing import Protocol


class Progress(Protocol):
    """Told of a stage's images as they are finished."""

    def begin(self, stage: str, total: int) -> None:
        """A stage starts; it has `estimate_total` images to do."""

    def advance(self, images: int, failed: int) -> None:
        """So many more images are finished, of which so many failed."""

    def end(self) -> None:
        """The stage is over."""


class NullProgress:
    """Progress that nobody sees."""

    def begin(self, stage: str, total: int) -> None:
        """Nothing."""

    def advance(self, images: int, failed: int) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""
