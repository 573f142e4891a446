"""Backdrop: what a network is shown where a photo is fully transparent: the colours of what is visible beside it."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

_CELL = 4  # pixels a side; the backdrop is kept so much smaller than the photo
_ROWS = 256  # rows that are averaged at a time; a multiple of the cell


class Backdrop:
    """Colours for the invisible pixels of a photo, so that no edge and hence no halo arises where visibility ends."""

    def __init__(self, samples: NDArray[Any], alpha: NDArray[Any]) -> None:
        """Average what is visible in cells of 4 × 4 pixels, and grow those means into the cells where nothing is.

        Args:
            samples: (H, W, C).
            alpha: (H, W); 0 is invisible.
        """
        sums, weights = [], []
        for top in range(0, samples.shape[0], _ROWS):
            visible = torch.from_numpy(alpha[top : top + _ROWS] > 0).float()[None, None]
            values = torch.from_numpy(samples[top : top + _ROWS].astype(np.float32)).permute(2, 0, 1)[None]
            sums.append(_pooled(values * visible))
            weights.append(_pooled(visible))
        weight = torch.cat(weights, 2)
        self._colours = _grown(torch.cat(sums, 2) / weight.clamp(min=1), weight > 0)

    def fill(
        self, region: NDArray[Any], alpha: NDArray[Any], rows: slice, columns: slice, shape: tuple[int, int]
    ) -> NDArray[Any]:
        """A copy of a region with its invisible pixels filled, the same whatever region a pixel is asked for with.

        Args:
            region: (h, w, C), the samples of `rows` and `columns`.
            alpha: (h, w).
            rows: of the photo.
            columns: of the photo.
            shape: height and width of the photo.
        """
        down, left = (slots.indices(side) for slots, side in zip((rows, columns), shape, strict=True))
        y = _places(np.arange(*down), self._colours.shape[2])
        x = _places(np.arange(*left), self._colours.shape[3])
        colours = self._colours[0].permute(1, 2, 0).numpy()
        filled = np.zeros((*region.shape[:2], region.shape[2]), np.float32)
        for row, row_share in y:
            for column, column_share in x:
                filled += colours[row][:, column] * (row_share[:, None] * column_share)[:, :, None]
        return np.where(alpha[:, :, None] > 0, region, np.rint(filled).astype(region.dtype))


def _pooled(values: Tensor) -> Tensor:
    """Sums over cells; what lies beyond the border counts as nothing."""
    missing = (-values.shape[3] % _CELL, -values.shape[2] % _CELL)
    return F.avg_pool2d(F.pad(values, (0, missing[0], 0, missing[1])), _CELL) * _CELL**2


def _grown(colours: Tensor, known: Tensor) -> Tensor:
    """Fill what is not known (1, C, h, w) from halved and enlarged versions of what is (pull and push)."""
    height, width = known.shape[2:]
    if bool(known.all()) or (height, width) == (1, 1):
        return colours
    edges = (0, width % 2, 0, height % 2)
    share = F.avg_pool2d(F.pad(known.float(), edges), 2)
    small = F.avg_pool2d(F.pad(colours * known, edges), 2) / share.clamp(min=0.25)
    large = F.interpolate(_grown(small, share > 0), scale_factor=2.0, mode="bilinear", align_corners=False)
    return torch.where(known, colours, large[:, :, :height, :width])


def _places(pixels: NDArray[Any], cells: int) -> list[tuple[NDArray[Any], NDArray[np.float32]]]:
    """For linear interpolation: the two cells on either side of each pixel's centre, and their shares."""
    place = ((pixels + 0.5) / _CELL - 0.5).clip(0, cells - 1).astype(np.float32)
    first = place.astype(int)
    share = place - first
    return [(first, 1 - share), (np.minimum(first + 1, cells - 1), share)]
