"""How much of a result was invented: the size of the change of its samples, in all of it and in flat areas."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepot.photo import BLOCK

_FLAT_STD = 1.5  # levels of 255: of the samples of a block
_BAND_PIXELS = 2**18  # measured at a time, for temporary arrays of up to 6 MB each
_SUM_DTYPES = {"uint8": np.int32, "uint16": np.int64}  # which hold 64² times the largest square


@dataclass(frozen=True)
class ChangeSize:
    """Sums over the samples of a photo, or of several pages.

    Attributes:
        squares: Sum of the squared changes, in levels of 255.
        count: The number of samples.
        flat_squares: The same in flat areas, which are blocks of 8 × 8 pixels of x* with a standard deviation of up to
            1.5 levels in every channel.
        flat_count: The number of samples in flat areas.

    Example:
        >>> before = np.zeros((16, 8, 1), np.uint8)
        >>> before[8:] = 128 + 64 * np.eye(8, dtype=np.uint8)[:, :, None]
        >>> after = before.copy()
        >>> after[8:] += 3
        >>> size = ChangeSize.measure(before, after)
        >>> round(size.rms, 3), size.flat_rms
        (2.121, 0.0)
    """

    squares: float = 0.0
    count: int = 0
    flat_squares: float = 0.0
    flat_count: int = 0

    @property
    def rms(self) -> float | None:
        """Root mean square of the change in levels of 255; None without samples."""
        return math.sqrt(self.squares / self.count) if self.count else None

    @property
    def flat_rms(self) -> float | None:
        """The same in flat areas; None if there are none."""
        return math.sqrt(self.flat_squares / self.flat_count) if self.flat_count else None

    @classmethod
    def total(cls, sizes: Iterable["ChangeSize"]) -> "ChangeSize":
        """Return the sums over several pages."""
        found = list(sizes)
        return cls(
            sum(size.squares for size in found),
            sum(size.count for size in found),
            sum(size.flat_squares for size in found),
            sum(size.flat_count for size in found),
        )

    @classmethod
    def measure(cls, before: NDArray[Any], after: NDArray[Any]) -> "ChangeSize":
        """Return the size of the change between samples (H, W, C) of the same dtype, uint8 or uint16."""
        step = max(1, _BAND_PIXELS // (BLOCK * before.shape[1])) * BLOCK
        return cls.total(
            cls._measure_band(before[top : top + step], after[top : top + step]) for top in range(0, len(before), step)
        )

    @classmethod
    def _measure_band(cls, before: NDArray[Any], after: NDArray[Any]) -> "ChangeSize":
        """Return the size of the change of a band of samples; all sums are exact, in integers."""
        wide, level = _SUM_DTYPES[before.dtype.name], np.iinfo(before.dtype).max / 255
        values = before.astype(wide)
        squares = np.square(after.astype(wide) - values)
        sums, square_sums = _block_sums(values), _block_sums(np.square(values))
        flat = (BLOCK**2 * square_sums - np.square(sums) <= (_FLAT_STD * level * BLOCK**2) ** 2).all(-1)
        return cls(
            int(squares.sum(dtype=np.int64)) / level**2,
            squares.size,
            int(_block_sums(squares)[flat].sum(dtype=np.int64)) / level**2 if flat.any() else 0.0,
            int(flat.sum()) * BLOCK**2 * before.shape[2],
        )


def _block_sums(values: NDArray[Any]) -> NDArray[Any]:
    """Return the sums over the complete blocks of (H, W, C) values, (h, w, C), row by row: numpy's own take longer."""
    height, width, channels = values.shape[0] // BLOCK, values.shape[1] // BLOCK, values.shape[2]
    rows = values[: height * BLOCK, : width * BLOCK].reshape(height, BLOCK, width * BLOCK * channels)
    columns = reduce(np.add, np.moveaxis(rows, 1, 0)).reshape(height, width, BLOCK, channels)
    return reduce(np.add, np.moveaxis(columns, 2, 0))
