"""The constraint of detail mode: the mean of every cell is that of x* with its tone curve."""

import torch
from torch import Tensor

from deepot.inference.bands import luma_difference
from deepot.inference.cell_filters import cell_means
from deepot.inference.consistency import Contradictions
from deepot.photo import ConstantAreas, Pixels

_TOLERANCE = 0.5 / 255  # half an 8-bit step, so that the mean is the same when it is rounded
_BAND_PIXELS = 2**18  # pixels compared at a time


class CellMeanConstraint:
    """The means that the cells of a result should have; filled while it is composed, block by block.

    The composition brings the means about, so that there is nothing left to project.

    Example:
        >>> import numpy as np
        >>> constraint = CellMeanConstraint(16, 24, 8, one_change=False)
        >>> constraint.record(0, 0, torch.full((1, 3, 2, 3), 100 / 255))
        >>> samples = np.full((16, 24, 3), 100, np.uint8)
        >>> samples[:8, :8] += 1
        >>> constraint.count(Pixels(samples))
        Contradictions(outside=1, total=6)
    """

    def __init__(self, height: int, width: int, factor: int, *, one_change: bool) -> None:
        """Make room for the means of a photo.

        Args:
            height: Rows of pixels.
            width: Columns of pixels.
            factor: Side of a cell in pixels.
            one_change: Whether all channels change alike, and only the mean luma of a cell is kept.
        """
        self._factor, self._one_change = factor, one_change
        self._means = torch.full((1, 3, -(-height // factor), -(-width // factor)), torch.nan)

    @property
    def name(self) -> str:
        """The name in the manifest."""
        return "cell_means"

    def record(self, top: int, left: int, means: Tensor) -> None:
        """Store the means (1, 3, h, w) of cells from a pixel on; its row and column are multiples of the factor."""
        row, column = top // self._factor, left // self._factor
        self._means[:, :, row : row + means.shape[2], column : column + means.shape[3]] = means.cpu()

    def project(self, pixels: Pixels, areas: ConstantAreas | None = None) -> None:
        """Do nothing: the composition has these means already."""

    def count(self, pixels: Pixels) -> Contradictions:
        """Count the cells whose mean differs by more than half an 8-bit step; none with invisible pixels."""
        outside = total = 0
        rows_per_band = max(1, _BAND_PIXELS // (self._factor * pixels.width))
        for row in range(0, self._means.shape[2], rows_per_band):
            goal = self._means[:, :, row : row + rows_per_band]
            rows = slice(row * self._factor, (row + goal.shape[2]) * self._factor)
            gap = cell_means(pixels.to_rgb(rows), self._factor) - goal
            if self._one_change:
                gap = luma_difference(gap)
            counted = ~goal.isnan().any(1)
            if pixels.alpha is not None:
                visible = torch.from_numpy(pixels.alpha[rows] > 0).float()[None, None]
                counted &= cell_means(visible, self._factor)[0] == 1
            outside += int(((gap.abs() > _TOLERANCE).any(1) & counted).sum())
            total += int(counted.sum())
        return Contradictions(outside, total)
