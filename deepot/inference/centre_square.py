"""The part of a photo that is measured where a sample of it is enough."""

from deepot.photo import Pixels

MAX_SIDE = 512
"""Side in pixels of the centre square of a photo that is measured."""


def centre_square(photo: Pixels, unit: int) -> tuple[slice, slice] | None:
    """Return the rows and columns that are measured, multiples of `unit`; None if the photo is too small."""
    height, width = (min(side, MAX_SIDE) // unit * unit for side in (photo.height, photo.width))
    if not height * width:
        return None
    top, left = (photo.height - height) // 2, (photo.width - width) // 2
    return slice(top, top + height), slice(left, left + width)
