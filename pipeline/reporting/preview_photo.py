"""A photo, or a part of it, in several versions that a page compares."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_MARK_SHARE, _MIN_MARK, _GRID = 6, 16, 4


@dataclass(frozen=True)
class PreviewVersion:
    """One version of a photo.

    Attributes:
        label: its name on the page.
        source: the image as a data URI; see `to_data_uri`.
    """

    label: str
    source: str


@dataclass(frozen=True)
class PreviewMark:
    """A region worth looking at, in pixels of the images.

    Attributes:
        label: what it shows; the page writes "Show …" before it.
        x: left edge.
        y: top edge.
        width: number of columns.
        height: number of rows.
    """

    label: str
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class PreviewPhoto:
    """A photo in at least two versions of one size.

    Attributes:
        name: its file name.
        caption: text below it.
        width: columns of the images.
        height: rows of the images.
        versions: the versions, in the order of the page's lists.
        before: index of the version that is shown first to the left of the curtain.
        after: index of the version that is shown first to its right.
        marks: regions worth looking at; may be empty.

    Raises:
        ValueError: there are fewer than two versions, or an index names none of them.
    """

    name: str
    caption: str
    width: int
    height: int
    versions: tuple[PreviewVersion, ...]
    before: int
    after: int
    marks: tuple[PreviewMark, ...] = ()

    def __post_init__(self) -> None:
        if len(self.versions) < 2:
            raise ValueError(f"{self.name}: {len(self.versions)} version(s), at least two are needed")
        if not {self.before, self.after} <= set(range(len(self.versions))):
            raise ValueError(f"{self.name}: versions {self.before} and {self.after} of {len(self.versions)}")


def to_data_uri(image: NDArray[np.uint8]) -> str:
    """Return an 8-bit sRGB image (H, W, 3) as a data URI: a JPEG of high quality with full colour resolution."""
    with io.BytesIO() as file:
        Image.fromarray(image).save(file, "JPEG", quality=92, subsampling=0)
        return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def find_largest_change(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> PreviewMark | None:
    """Return the square with the largest mean difference of two images (H, W, 3), to within 4 pixels.

    Its side is a sixth of the image's shorter one, at least 16 pixels. None if the images are equal or smaller.
    """
    height, width = before.shape[:2]
    side = max(_MIN_MARK, min(height, width) // _MARK_SHARE)
    difference = np.abs(before.astype(np.int16) - after).sum(axis=2, dtype=np.int64)
    if min(height, width) < side or not difference.any():
        return None
    sums = np.pad(difference.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    low, high = slice(None, -side), slice(side, None)
    in_squares = (sums[high, high] - sums[low, high] - sums[high, low] + sums[low, low])[::_GRID, ::_GRID]
    row, column = np.unravel_index(in_squares.argmax(), in_squares.shape)
    return PreviewMark("largest change", int(column) * _GRID, int(row) * _GRID, side, side)
