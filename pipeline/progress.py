"""How a stage reports its progress, and to whom: the `Progress` protocol."""

from typing import Protocol


class Progress(Protocol):
    """Receives the progress of one stage after the other."""

    def begin(self, stage: str, total: int) -> None:
        """Start a stage of `total` images."""

    def advance(self, images: int, failed: int) -> None:
        """Count `images` more as finished, `failed` of them without a result."""

    def end(self) -> None:
        """End the stage."""


class NullProgress:
    """Progress that is not shown."""

    def begin(self, stage: str, total: int) -> None:
        """Do nothing."""

    def advance(self, images: int, failed: int) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""
