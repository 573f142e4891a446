"""The quantised DCT coefficients of a JPEG file, which limit the photos that the file may stand for."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 8
"""Side of a block in samples."""


@dataclass(frozen=True)
class JpegComponent:
    """A component of a JPEG file: grey, luma, a colour difference, or red, green or blue.

    Attributes:
        coefficients: Quantised coefficients of each block by vertical and horizontal frequency, (h, w, 8, 8), int16.
        table: Quantisation steps, (8, 8).
        result_table: The steps with which results are quantised when they are written, (8, 8); None if they are written
            without loss, or with another sampling.
        down: Rows of pixels per row of samples.
        across: Columns of pixels per column of samples.
    """

    coefficients: NDArray[np.int16]
    table: NDArray[np.int64]
    down: int = 1
    across: int = 1
    result_table: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class JpegCoefficients:
    """All components of a JPEG file, in the orientation in which it is stored.

    Attributes:
        height: Rows of pixels.
        width: Columns of pixels.
        components: One or three.
        is_ycc: Whether three components are luma and two colour differences (JFIF), and not red, green and blue.

    Example:
        >>> component = JpegComponent(np.zeros((2, 3, 8, 8), np.int16), np.full((8, 8), 16))
        >>> JpegCoefficients(15, 20, (component,), is_ycc=False).unit
        (8, 8)
    """

    height: int
    width: int
    components: tuple[JpegComponent, ...]
    is_ycc: bool

    @property
    def unit(self) -> tuple[int, int]:
        """Rows and columns of pixels of the smallest area that consists of complete blocks of all components."""
        return (
            BLOCK * max(component.down for component in self.components),
            BLOCK * max(component.across for component in self.components),
        )

    @property
    def count(self) -> int:
        """The number of coefficients."""
        return sum(int(component.coefficients.size) for component in self.components)

    def matches(self, samples: NDArray[Any]) -> bool:
        """Whether samples (H, W, C) may be those that the file decodes to: their size, channels and 8 bits."""
        shape = (self.height, self.width, len(self.components))
        return samples.dtype == np.uint8 and samples.shape == shape
