"""Backdrop: what a network is shown where a photo is fully transparent: the colours of what is visible beside it."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

_CELL_PIXELS = 4  # pixels a side; the backdrop is kept so much smaller than the photo
_BAND_ROWS = 256  # rows that are averaged at a time; a multiple of the cell


class AlphaFill:
    """Colours for the invisible pixels of a photo, so that no edge and hence no halo arises where visibility ends."""

    def __init__(self, samples: NDArray[Any], alpha: NDArray[Any]) -> None:
        """Average what is visible in cells of 4 × 4 pixels, and grow those means into the cells where nothing is.

        Args:
            samples: (H, W, C).
            alpha: (H, W); 0 is invisible.
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
        """A copy of a region with its invisible pixels filled, the same whatever region a pixel is asked for with.

        Args:
            region: (h, w, C), the samples of `n_rows` and `columns`.
            alpha: (h, w).
            rows: of the photo.
            columns: of the photo.
            shape: height and width of the photo.
        """
        row_range, column_range = (slots.indices(side) for slots, side in zip((rows, columns), shape, strict=True))
        y = _interpolation_cells(np.arange(*row_range), self._colours.shape[2])
        x = _interpolation_cells(np.arange(*column_range), self._colours.shape[3])
        colours = self._colours[0].permute(1, 2, 0).numpy()
        filled = np.zeros((*region.shape[:2], region.shape[2]), np.float32)
        for row, row_weight in y:
            for column, column_weight in x:
                filled += colours[row][:, column] * (row_weight[:, None] * column_weight)[:, :, None]
        return np.where(alpha[:, :, None] > 0, region, np.rint(filled).astype(region.dtype))


def _sum_cells(values: Tensor) -> Tensor:
    """Sums over cells; what lies beyond the border counts as nothing."""
    padding = (-values.shape[3] % _CELL_PIXELS, -values.shape[2] % _CELL_PIXELS)
    return F.avg_pool2d(F.pad(values, (0, padding[0], 0, padding[1])), _CELL_PIXELS) * _CELL_PIXELS**2


def _pull_push(colours: Tensor, known: Tensor) -> Tensor:
    """Fill what is not known (1, C, h, w) from halved and enlarged versions of what is (pull and push)."""
    height, width = known.shape[2:]
    if bool(known.all()) or (height, width) == (1, 1):
        return colours
    padding = (0, width % 2, 0, height % 2)
    coverage = F.avg_pool2d(F.pad(known.float(), padding), 2)
    small = F.avg_pool2d(F.pad(colours * known, padding), 2) / coverage.clamp(min=0.25)
    large = F.interpolate(_pull_push(small, coverage > 0), scale_factor=2.0, mode="bilinear", align_corners=False)
    return torch.where(known, colours, large[:, :, :height, :width])


def _interpolation_cells(pixels: NDArray[Any], cells: int) -> list[tuple[NDArray[Any], NDArray[np.float32]]]:
    """For linear interpolation: the two cells on either side of each pixel's centre, and their shares."""
    position = ((pixels + 0.5) / _CELL_PIXELS - 0.5).clip(0, cells - 1).astype(np.float32)
    first = position.astype(int)
    weight = position - first
    return [(first, 1 - weight), (np.minimum(first + 1, cells - 1), weight)]
