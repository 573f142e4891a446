"""Linear filters on cells: what of a decoded change is detail, and what of it the decoder draws in every cell.

A cell is a square of `factor` × `factor` pixels, the pixels of one latent position. All filters are local: a crop that
starts at a multiple of `factor` has the same result as the image, except within `FILTER_RADIUS` cells of the cut.
"""

import math
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn import functional

from deepot.fixed_order import enlarge_bilinearly, sum_in_order

_INVERSE_RADIUS = 2  # cells; the inverse filter falls by a factor of 6 from cell to cell
_REPETITION_RADIUS = 2  # cells: the repeated pattern is averaged over 5 × 5 cells
_MIN_ENERGY = (0.5 / 255) ** 2  # of a cell, (half an 8-bit step)²; keeps the weights of empty cells finite

FILTER_RADIUS = 1 + _INVERSE_RADIUS + _REPETITION_RADIUS
"""How many cells away a cell can change what `detail` and `remove_repetition` together return for another."""


def cell_means(image: Tensor, factor: int) -> Tensor:
    """Return the mean of each cell of an image (B, C, H, W), (B, C, ⌈H/factor⌉, ⌈W/factor⌉).

    Cells that the right and the lower edge cut off are averaged over their pixels inside the image.
    """
    return functional.avg_pool2d(image, factor, ceil_mode=True, count_include_pad=False)


def fill_cells(means: Tensor, factor: int, height: int, width: int) -> Tensor:
    """Return the image (B, C, height, width) whose cells have these values (B, C, h, w)."""
    return means.repeat_interleave(factor, 2).repeat_interleave(factor, 3)[..., :height, :width]


def coarse(image: Tensor, factor: int) -> Tensor:
    """Return the smooth image that has the cell means of `image`.

    It is interpolated bilinearly between the centres of cells, from values that are chosen so that the cell means come
    out right. With the mean of each cell as its value they would not: interpolation averages neighbouring cells again.
    The inverse of that average is cut off after `_INVERSE_RADIUS` cells, so cell means are right to about 1 %.

    Args:
        image: (B, C, H, W); H and W are multiples of `factor`.
        factor: Side of a cell in pixels. With 1 everything is coarse.

    Returns:
        (B, C, H, W).
    """
    if factor == 1:
        return image
    values, kernel = cell_means(image, factor), _inverse_kernel(factor)
    for dim in (2, 3):
        values = _filter_axis(values, kernel, dim)
    return enlarge_bilinearly(values, factor)


def detail(image: Tensor, factor: int) -> Tensor:
    """Return the image (B, C, H, W) minus its `coarse` part, with cell means of zero.

    H and W are multiples of `factor`. What `coarse` leaves of the cell means is subtracted cell by cell.
    """
    fine = image - coarse(image, factor)
    return fine - fill_cells(cell_means(fine, factor), factor, *image.shape[2:])


def remove_repetition(image: Tensor, factor: int) -> Tensor:
    """Return a change (B, C, H, W) without what repeats from cell to cell.

    Where latents are constant a decoder draws the same pattern in every cell, visible as a weave in flat areas. From
    each pixel of a cell the mean over the same pixel of the 5 × 5 cells around it is subtracted. Cells are weighted by
    the inverse of their energy, so that an edge is not repeated in the flat cells beside it. The cell means of the
    change stay as they are. H and W are multiples of `factor`.
    """
    batch, channels, height, width = image.shape
    rows, columns = height // factor, width // factor
    cells = image.reshape(batch, channels, rows, factor, columns, factor).permute(0, 2, 4, 1, 3, 5)
    pixels = cells.reshape(batch, rows, columns, channels, factor**2)  # cell by cell, so that averages are of vectors
    patterns = pixels - (sum_in_order(pixels, 4) / factor**2)[..., None]
    energies = sum_in_order(patterns.square().flatten(3), 3) / (channels * factor**2)
    weights = 1 / (energies + _MIN_ENERGY)[..., None]

    def average(values: Tensor) -> Tensor:
        side = 2 * _REPETITION_RADIUS + 1
        images = values.permute(0, 3, 1, 2)
        return functional.avg_pool2d(images, side, 1, _REPETITION_RADIUS, count_include_pad=False).permute(0, 2, 3, 1)

    repeated = average(patterns.flatten(3) * weights) / average(weights)
    by_cell = repeated.reshape(batch, rows, columns, channels, factor, factor).permute(0, 3, 1, 4, 2, 5)
    return (image.reshape(batch, channels, rows, factor, columns, factor) - by_cell).reshape(image.shape)


def _inverse_kernel(factor: int) -> list[float]:
    """Return the inverse of the filter [a, 1 − 2a, a] that bilinear interpolation applies to cell means, cut off."""
    offsets = [(pixel + 0.5) / factor - 0.5 for pixel in range(factor)]
    neighbour = sum(offset for offset in offsets if offset > 0) / factor
    centre = 1 - 2 * neighbour
    ratio = (-centre + math.sqrt(centre**2 - 4 * neighbour**2)) / (2 * neighbour)
    powers = list(accumulate(range(_INVERSE_RADIUS), lambda power, _: power * ratio, initial=1.0))
    values = [*reversed(powers[1:]), *powers]
    return [value / sum(values) for value in values]


def _filter_axis(values: Tensor, kernel: list[float], dim: int) -> Tensor:
    """Return values filtered along one axis, continued beyond their edges by reflection."""
    length, radius = values.shape[dim], len(kernel) // 2
    places = torch.arange(-radius, length + radius, device=values.device) % (2 * length)
    reflected = values.index_select(dim, torch.where(places < length, places, 2 * length - 1 - places))
    total = torch.zeros_like(values)
    for index, weight in enumerate(kernel):
        total += weight * reflected.narrow(dim, index, length)
    return total
