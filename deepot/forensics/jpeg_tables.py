"""The quality of a JPEG file by its quantisation tables."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_QUALITY, MAX_QUALITY = 1, 100
"""The qualities of libjpeg."""
_STEP_COUNT = 64
_LUMA_STEPS = """
    16 11 10 16 24 40 51 61   12 12 14 19 26 58 60 55   14 13 16 24 40 57 69 56   14 17 22 29 51 87 80 62
    18 22 37 56 68 109 103 77   24 35 55 64 81 104 113 92   49 64 78 87 103 121 120 101   72 92 95 98 112 100 103 99
"""
_LUMA_TABLE: NDArray[np.int64] = np.array(_LUMA_STEPS.split(), np.int64).reshape(8, 8)  # ITU-T T.81, table K.1


@dataclass(frozen=True)
class JpegCoding:
    """How the samples of a JPEG file are coded.

    Attributes:
        tables: its quantisation tables, luma first, 64 steps each.
        is_chroma_subsampled: whether colours have fewer samples than luma.
    """

    tables: Sequence[Sequence[int]]
    is_chroma_subsampled: bool

    @property
    def quality(self) -> int | None:
        """The quality of libjpeg that is closest, as `estimate_table_quality` finds it."""
        return estimate_table_quality(self.tables)


def scale_luma_table(quality: int) -> NDArray[np.int64]:
    """Return the luma table of libjpeg for a quality: table K.1 of ITU-T T.81, scaled and limited to 8 bits.

    Args:
        quality: 1 to 100.

    Returns:
        The quantisation steps by vertical and horizontal frequency, (8, 8).

    Example:
        >>> scale_luma_table(50)[0, :3].tolist(), scale_luma_table(90)[0, :3].tolist()
        ([16, 11, 10], [3, 2, 2])
    """
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return ((_LUMA_TABLE * percent + 50) // 100).clip(1, 255)


def estimate_table_quality(tables: Sequence[Sequence[int]]) -> int | None:
    """Return the quality of libjpeg whose luma table is closest to that of a file.

    The distance is the mean absolute difference of the steps' logarithms. It is 0 for the tables that libjpeg, and so
    Pillow, ImageMagick and most programs, write; other programs have tables of their own, for which the result is the
    standard quality that quantises about as coarsely.

    Args:
        tables: the tables of a file, luma first, 64 steps each.

    Returns:
        1 to 100; None if there is no complete table.

    Example:
        >>> estimate_table_quality([scale_luma_table(30).flatten().tolist()])
        30
    """
    if not tables or len(tables[0]) != _STEP_COUNT:
        return None
    # libjpeg's zigzag and natural order hold the same steps, so that sorted steps fit whatever the order of the file's
    steps = np.log(np.sort(np.maximum(np.asarray(tables[0], np.float64), 1)))
    distances = [
        np.abs(steps - np.log(np.sort(scale_luma_table(quality), axis=None))).mean()
        for quality in range(MIN_QUALITY, MAX_QUALITY + 1)
    ]
    return MIN_QUALITY + int(np.argmin(distances))
