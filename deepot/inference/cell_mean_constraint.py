"""The constraint of detail mode: the mean of every cell is that of x* with its tone curve."""

from collections.abc import Iterator

import torch
from torch import Tensor

from deepot.inference.bands import luma_difference
from deepot.inference.cell_filters import cell_means, fill_cells
from deepot.inference.consistency import Contradictions
from deepot.photo import ConstantAreas, Pixels

_TOLERANCE = 0.501 / 255  # half an 8-bit step, and the last bits of float32
_BAND_PIXELS = 2**18  # pixels compared at a time
_ROUNDS = 8


class CellMeanConstraint:
    """The means that the cells of a result should have; filled while it is composed, block by block.

    Attributes:
        values: The means, (1, 3, h, w); NaN where none was recorded.

    The composition brings the means about; what is left to project is what rounding and clipping have changed.

    Example:
        >>> import numpy as np
        >>> constraint = CellMeanConstraint(16, 24, 8, one_change=False)
        >>> constraint.record(0, 0, torch.full((1, 3, 2, 3), 100 / 255))
        >>> samples = np.full((16, 24, 3), 100, np.uint8)
        >>> samples[:8, :8] += 1
        >>> constraint.count(Pixels(samples))
        Contradictions(outside=1, total=6)
    """

    def __init__(
        self, height: int, width: int, factor: int, *, one_change: bool, device: torch.device | str = "cpu"
    ) -> None:
        """Make room for the means of a photo.

        Args:
            height: Rows of pixels.
            width: Columns of pixels.
            factor: Side of a cell in pixels.
            one_change: Whether all channels change alike, and only the mean luma of a cell is kept.
            device: Where the means are recorded; `values` must be replaced by a copy on the CPU before they are used.
        """
        self._factor, self._one_change = factor, one_change
        self.values = torch.full((1, 3, -(-height // factor), -(-width // factor)), torch.nan, device=device)

    @property
    def name(self) -> str:
        """The name in the manifest."""
        return "cell_means"

    def record(self, top: int, left: int, means: Tensor) -> None:
        """Store the means (1, 3, h, w) of cells from a pixel on; its row and column are multiples of the factor."""
        row, column = top // self._factor, left // self._factor
        self.values[:, :, row : row + means.shape[2], column : column + means.shape[3]] = means

    def project(self, pixels: Pixels, areas: ConstantAreas | None = None) -> None:
        """Shift the cells of a result, in place, whose mean differs by more than half an 8-bit step after rounding.

        Cells are shifted by complete steps. Clipped samples do not move, so that it may take several rounds.
        """
        for rows in self._bands(pixels):
            size = rows.stop - rows.start, pixels.width
            for _ in range(_ROUNDS):
                gap, counted = self._gaps(pixels, rows)
                wrong = counted & (gap.abs() > _TOLERANCE).any(1, keepdim=True)
                if not wrong.any():
                    break
                steps = fill_cells(self._steps(gap, pixels.to_rgb(rows)) * wrong, self._factor, *size)
                delta = -steps / 255
                if areas is not None:
                    delta *= ~torch.from_numpy(areas.mask(rows, slice(0, pixels.width)))
                pixels.add_rgb_delta(rows.start, delta)

    def _steps(self, gap: Tensor, values: Tensor) -> Tensor:
        """Return by how many 8-bit steps the samples of cells have to fall for their means, if some are clipped."""
        high = fill_cells(gap, self._factor, *values.shape[2:]) > 0
        share = cell_means(torch.where(high, values > 0, values < 1).float(), self._factor)
        missing = (gap.abs() - _TOLERANCE).clamp(min=0) * 255
        return torch.ceil(missing / share.clamp(min=1 / self._factor**2)) * gap.sign()

    def count(self, pixels: Pixels) -> Contradictions:
        """Count the cells whose mean differs by more than half an 8-bit step; none with invisible pixels."""
        outside = total = 0
        for rows in self._bands(pixels):
            gap, counted = self._gaps(pixels, rows)
            outside += int((counted & (gap.abs() > _TOLERANCE).any(1, keepdim=True)).sum())
            total += int(counted.sum())
        return Contradictions(outside, total)

    def _bands(self, pixels: Pixels) -> Iterator[slice]:
        """Yield the rows of pixels of bands of cells."""
        step = max(1, _BAND_PIXELS // (self._factor * pixels.width)) * self._factor
        for top in range(0, pixels.height, step):
            yield slice(top, min(top + step, pixels.height))

    def _gaps(self, pixels: Pixels, rows: slice) -> tuple[Tensor, Tensor]:
        """Return by how much the means of cells differ, (1, 3, h, w), and which cells count, (1, 1, h, w)."""
        first = rows.start // self._factor
        goal = self.values[:, :, first : -(-rows.stop // self._factor)]
        gap = cell_means(pixels.to_rgb(rows), self._factor) - goal
        counted = ~goal.isnan().any(1, keepdim=True)
        if pixels.alpha is not None:
            visible = torch.from_numpy(pixels.alpha[rows] > 0).float()[None, None]
            counted &= cell_means(visible, self._factor) == 1
        return (luma_difference(gap) if self._one_change else gap).nan_to_num(), counted
