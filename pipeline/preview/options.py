"""What a preview shows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PreviewOptions:
    """What a preview shows.

    Attributes:
        photos: names of photos of the input; empty chooses some by a hash of their names.
        limit: how many are chosen.
        max_side: the largest side of the region in the middle of a photo that is rendered, in pixels.
    """

    photos: tuple[str, ...] = ()
    limit: int = 6
    max_side: int = 1024
