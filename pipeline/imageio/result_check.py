"""The check of a written file: it opens again, and shows the pixels that were meant."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepot.photo import Pixels
from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.library_settings import ignored_warnings

if TYPE_CHECKING:
    from pipeline.imageio.image_format import DecodedImage, ImageFormat

_ROWS_PER_BAND = 64
_GRID = 8  # rows and columns of the cells whose means are compared after lossy compression
_SAMPLES_PER_SIDE = 64  # of which the means are taken
_MIN_CELL = 16  # pixels along a side: subsampled chroma says little about fewer
_MAX_CELL_ERROR = 0.25  # of the range: the coarsest tables of JPEG change the mean of a block by a sixth


def check_result(
    image_format: "ImageFormat", data: bytes, pages: Sequence[Pixels], bits: int, *, lossless: bool
) -> "DecodedImage":
    """Open a written file again, and compare it with the pixels that it was written from.

    Args:
        image_format: the format that wrote it.
        data: the file.
        pages: the pixels, in the orientation in which the format stores them.
        bits: bits per sample that are kept of pixels of 16 bits.
        lossless: whether the samples must be the same; otherwise only the means of cells, which shows wrong channels,
            sizes and orientations.

    Returns:
        What was opened.

    Raises:
        ImageError: it cannot be opened, or shows something else.
    """
    try:
        with ignored_warnings:
            if not image_format.matches(data):
                raise ValueError("it has another signature")
            opened = image_format.read(data, sys.maxsize)
    except Exception as error:  # decoders raise anything
        raise _error(image_format, f"cannot be opened again: {error}") from error
    found = opened.pages
    if len(found) != len(pages):
        raise _error(image_format, f"has {len(found)} pages instead of {len(pages)}")
    for number, (written, meant) in enumerate(zip(found, pages, strict=True), start=1):
        if difference := _find_difference(written, meant, bits, lossless=lossless):
            raise _error(image_format, f"page {number} {difference}" if len(pages) > 1 else difference)
    return opened


def _find_difference(written: Pixels, meant: Pixels, bits: int, *, lossless: bool) -> str | None:
    """Return how a page differs from what was meant; None if it does not."""
    if written.samples.shape != meant.samples.shape:
        shapes = (" × ".join(str(side) for side in page.samples.shape) for page in (written, meant))
        return "has {} samples instead of {}".format(*shapes)
    if written.bit_depth != meant.bit_depth:
        return f"has {written.bit_depth} bits per sample instead of {meant.bit_depth}"
    if (written.alpha is None) != (meant.alpha is None):
        return "has an alpha channel" if meant.alpha is None else "has no alpha channel"
    planes = [(written.samples, meant.samples)]
    if written.alpha is not None and meant.alpha is not None:
        planes.append((written.alpha[:, :, None], meant.alpha[:, :, None]))
    step = meant.max_value // ((1 << min(max(bits, 9), 16)) - 1) if meant.bit_depth == 16 else 0
    for one, other in planes:
        if lossless and not _is_equal(one, other, step if bits < 16 else 0):
            return "has other pixels"
        if not lossless and np.abs(_cell_means(one) - _cell_means(other)).max() > _MAX_CELL_ERROR * meant.max_value:
            return "shows another picture"
    return None


def _is_equal(one: NDArray[Any], other: NDArray[Any], tolerance: int) -> bool:
    """Whether samples differ by no more than a tolerance, compared in bands of rows to save memory."""
    for start in range(0, len(one), _ROWS_PER_BAND):
        first, second = one[start : start + _ROWS_PER_BAND], other[start : start + _ROWS_PER_BAND]
        if not np.array_equal(first, second) and (
            not tolerance or (np.maximum(first, second) - np.minimum(first, second)).max() > tolerance
        ):
            return False
    return True


def _cell_means(samples: NDArray[Any]) -> NDArray[np.float64]:
    """Return the means of (H, W, C) samples, not all of them for large pages, in a grid of at most 8 × 8 cells."""
    height, width, _ = samples.shape
    grid = [min(_GRID, max(1, side // _MIN_CELL)) for side in (height, width)]
    few = samples[:: max(1, height // _SAMPLES_PER_SIDE), :: max(1, width // _SAMPLES_PER_SIDE)].astype(np.float64)
    for axis in (0, 1):
        length = few.shape[axis]
        starts = [cell * length // grid[axis] for cell in range(grid[axis])]
        counts = np.array([stop - start for start, stop in zip(starts, [*starts[1:], length], strict=True)])
        few = np.add.reduceat(few, starts, axis) / (counts[:, None, None] if axis == 0 else counts[:, None])
    return few


def _error(image_format: "ImageFormat", what: str) -> ImageError:
    return ImageError(ErrorCode.UNSUPPORTED_OUTPUT, f"the {image_format.name} file that was written {what}")
