"""Colours for the fully transparent pixels of a photo, continued from the visible pixels around them."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from deepot.fixed_order import enlarge_bilinearly

_CELL_PIXELS = 4  # side of the squares of pixels for which one colour each is kept
_BAND_ROWS = 256  # rows that are averaged at a time, a multiple of the cell


class AlphaFill:
    """Fills the invisible pixels of a photo, so that a network sees no edge, and makes no halo, around them."""

    def __init__(self, samples: NDArray[Any], alpha: NDArray[Any]) -> None:
        """Average the visible pixels of cells of 4 × 4 pixels, and extend these means to the cells without any.

        Args:
            samples: samples of the photo, (H, W, C), uint8 or uint16.
            alpha: (H, W); pixels with 0 are invisible.
        """
        sums, weights = [], []
        for top in range(0, samples.shape[0], _BAND_ROWS):
            visible = torch.from_numpy(alpha[top : top + _BAND_ROWS] > 0).float()[None, None]
            values = torch.from_numpy(samples[top : top + _BAND_ROWS].astype(np.float32)).permute(2, 0, 1)[None]
            sums.append(_sum_cells(values * visible))
            weights.append(_sum_cells(visible))
        weight = torch.cat(weights, 2)
        self._colours = _pull_push(torch.cat(sums, 2) / weight.clamp(min=1), weight > 0)

    def fill(
        self, region: NDArray[Any], alpha: NDArray[Any], rows: slice, columns: slice, shape: tuple[int, int]
    ) -> NDArray[Any]:
        """Return a copy of a region with its invisible pixels filled.

        A pixel gets the same colour in every region that contains it.

        Args:
            region: samples of the region, (h, w, C).
            alpha: alpha of the region, (h, w).
            rows: rows of the photo that the region covers.
            columns: columns of the photo that the region covers.
            shape: height and width of the photo.
        """
        row_range, column_range = (span.indices(side) for span, side in zip((rows, columns), shape, strict=True))
        y = _interpolation_cells(np.arange(*row_range), self._colours.shape[2])
        x = _interpolation_cells(np.arange(*column_range), self._colours.shape[3])
        colours = self._colours[0].permute(1, 2, 0).numpy()
        filled = np.zeros((*region.shape[:2], region.shape[2]), np.float32)
        for row, row_weight in y:
            for column, column_weight in x:
                filled += colours[row][:, column] * (row_weight[:, None] * column_weight)[:, :, None]
        return np.where(alpha[:, :, None] > 0, region, np.rint(filled).astype(region.dtype))


def _sum_cells(values: Tensor) -> Tensor:
    """Return sums over cells; positions beyond the border count as zero."""
    padding = (-values.shape[3] % _CELL_PIXELS, -values.shape[2] % _CELL_PIXELS)
    return F.avg_pool2d(F.pad(values, (0, padding[0], 0, padding[1])), _CELL_PIXELS) * _CELL_PIXELS**2


def _pull_push(colours: Tensor, known: Tensor) -> Tensor:
    """Fill unknown positions of (1, C, h, w) from ever coarser averages of the known ones (pull–push)."""
    height, width = known.shape[2:]
    if bool(known.all()) or (height, width) == (1, 1):
        return colours
    padding = (0, width % 2, 0, height % 2)
    coverage = F.avg_pool2d(F.pad(known.float(), padding), 2)
    small = F.avg_pool2d(F.pad(colours * known, padding), 2) / coverage.clamp(min=0.25)
    large = enlarge_bilinearly(_pull_push(small, coverage > 0), 2)
    return torch.where(known, colours, large[:, :, :height, :width])


def _interpolation_cells(pixels: NDArray[Any], cells: int) -> list[tuple[NDArray[Any], NDArray[np.float32]]]:
    """Return, for linear interpolation, the cells before and after the centre of each pixel, and their weights."""
    position = ((pixels + 0.5) / _CELL_PIXELS - 0.5).clip(0, cells - 1).astype(np.float32)
    first = position.astype(int)
    weight = position - first
    return [(first, 1 - weight), (np.minimum(first + 1, cells - 1), weight)]
