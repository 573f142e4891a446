"""How much of a result was invented: the size of the change of its samples, in all of it and in flat areas."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepot.photo import BLOCK

_FLAT_STD = 1.5  # levels of 255: of the samples of a block
_BAND_PIXELS = 2**18  # measured at a time, for temporary arrays of up to 6 MB each
_EXACT_DTYPES = {
    "uint8": np.float32,
    "uint16": np.float64,
}  # which hold the squares of a block, added, without rounding


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
        """Return the size of the change of a band of samples; all sums are of integers, and exact in any order."""
        dtype, level = _EXACT_DTYPES[before.dtype.name], np.iinfo(before.dtype).max / 255
        values = before.astype(dtype)
        change = after.astype(dtype) - values
        height, (width, channels) = len(values) // BLOCK, values.shape[1:]
        shape = height, BLOCK, width * channels
        rows, changed_rows = (each[: height * BLOCK].reshape(shape) for each in (values, change))
        sums = _sum_across(np.ones(BLOCK, dtype) @ rows, channels)
        square_sums = _sum_across(np.einsum("hrw,hrw->hw", rows, rows), channels)
        flat = (BLOCK**2 * square_sums - np.square(sums) <= (_FLAT_STD * level * BLOCK**2) ** 2).all(-1)
        changes = np.einsum("hrw,hrw->hw", changed_rows, changed_rows)
        rest = np.square(change[height * BLOCK :], dtype=np.float64)
        return cls(
            float(changes.sum(dtype=np.float64) + rest.sum()) / level**2,
            change.size,
            float(_sum_across(changes, channels)[flat].sum()) / level**2 if flat.any() else 0.0,
            int(flat.sum()) * BLOCK**2 * channels,
        )


def _sum_across(rows: NDArray[Any], channels: int) -> NDArray[np.float64]:
    """Return the sums over the complete blocks of sums over their rows (h, W · C), (h, w, C)."""
    width = rows.shape[1] // (BLOCK * channels)
    blocks = rows[:, : width * BLOCK * channels].astype(np.float64).reshape(len(rows), width, BLOCK, channels)
    sums: NDArray[np.float64] = np.einsum("hwrc->hwc", blocks)
    return sums
