"""The bands of a change: its parts from coarse to fine, in luma and in chroma, and their gains.

The first band is the `coarse` part of a change at the side of a cell; the next ones are what `coarse` adds at half and
at a quarter of the side; the last one is the rest. The bands add up to the change.
"""

import torch
from torch import Tensor

from deepot.inference.cell_filters import cell_means, coarse, fill_cells
from deepot.photo import LUMA_WEIGHTS
from deepot.transport import BandGains

_MAX_SCALES = 3


def band_sides(factor: int) -> list[int]:
    """Return the sides in pixels that separate the bands: factor, factor / 2 and factor / 4, while integer and > 1.

    Example:
        >>> from deepot.inference.bands import band_sides
        >>> band_sides(8), band_sides(6), band_sides(1)
        ([8, 4, 2], [6, 3], [1])
    """
    sides = [factor]
    while len(sides) < _MAX_SCALES and sides[-1] % 2 == 0 and sides[-1] > 2:
        sides.append(sides[-1] // 2)
    return sides


def split_bands(change: Tensor, factor: int) -> Tensor:
    """Return the bands of a change (B, 3, H, W): (2, n, B, 3, H, W), luma and chroma from coarse to fine.

    H and W are multiples of `factor`.
    """
    luma = luma_difference(change)
    parts = []
    for image in (luma, change - luma):
        means = [coarse(image, side) for side in band_sides(factor)]
        finer = [*means[1:], image]
        parts.append(torch.stack([means[0], *(fine - mean for fine, mean in zip(finer, means, strict=True))]))
    return torch.stack(parts)


def reference_band(image: Tensor, factor: int) -> Tensor:
    """Return the band of luma an octave coarser than the finest of `coarse`, (B, 3, H, W).

    H and W are multiples of 2 · `factor`.
    """
    luma = luma_difference(image)
    return coarse(luma, factor) - coarse(luma, 2 * factor)


def scale_bands(change: Tensor, factor: int, gains: BandGains) -> Tensor:
    """Return a change (B, 3, H, W) with its bands multiplied by gains; only the first band has cell means.

    H and W are multiples of `factor`.

    Raises:
        ValueError: There are not as many gains as bands.
    """
    luma = luma_difference(change)
    sides = band_sides(factor)
    total = torch.zeros_like(change)
    for image, values in ((luma, gains.luma), (change - luma, gains.chroma)):
        if len(values) != len(sides) + 1:
            raise ValueError(f"there are {len(values)} gains for {len(sides) + 1} bands of cells of {factor} pixels")
        first = coarse(image, factor)
        fine = values[-1] * image - values[1] * first
        for side, gain, finer_gain in zip(sides[1:], values[1:], values[2:], strict=False):
            if gain != finer_gain:
                fine += (gain - finer_gain) * coarse(image, side)
        total += values[0] * first + fine - fill_cells(cell_means(fine, factor), factor, *fine.shape[2:])
    return total


def luma_difference(difference: Tensor) -> Tensor:
    """Return the luma (ITU-R BT.601) of a difference of RGB images (B, 3, H, W), in all three channels."""
    red, green, blue = (weight * difference[:, channel : channel + 1] for channel, weight in enumerate(LUMA_WEIGHTS))
    return (red + green + blue).expand_as(difference)
