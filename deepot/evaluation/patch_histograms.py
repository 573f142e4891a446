"""Histograms of projected Laplacian-pyramid patches, and the sliced Wasserstein distance of two sets of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

MAX_LEVELS = 5
"""Largest number of levels of the pyramid; the finest is level 1."""
MIN_LEVEL_SIDE = 16
"""Minimum side of an image that a level is computed from, in pixels, as in Karras et al. 2018."""
PATCH_SIDE = 7
N_DIRECTIONS = 64
N_BINS = 128
MAX_PATCHES = 4096
"""Largest number of patches of one level of one photo."""
_ASINH_RANGE = 9.0  # ±4,051 levels of 255; a projection is at most 255 · √147 = 3,092
_CHUNK = 16  # resamplings at once, 0.3 MB each
_N_QUANTILES = 128
_QUANTIZATION_VARIANCE = 1 / 12  # levels² of 255


@dataclass(frozen=True)
class PatchHistograms:
    """Histograms of the projections of patches, for every level and direction; merging is exact.

    The bins have equal widths in asinh(x), x in levels of 255: narrow near 0, and 14 % of x far from it.

    Attributes:
        counts: Number of patches, (levels, directions, bins), int32; zeros at levels that no photo has.
    """

    counts: Tensor

    @classmethod
    def from_image(cls, image: Tensor) -> "PatchHistograms":
        """Return the histograms of one image.

        Patches of 7 × 7 pixels and 3 channels are taken at random positions, at most 4,096 in each level, and projected
        on 64 random directions. Positions and directions have a fixed seed: variants of a photo have the same.

        Args:
            image: (1, 3, H, W) in [0, 1], sides of at least 16 pixels.
        """
        counts = torch.zeros(MAX_LEVELS, N_DIRECTIONS, N_BINS, dtype=torch.int32)
        directions = _random_directions()
        for index, level in enumerate(laplacian_levels(image)):
            projected = _extract_random_patches(level * 255, index) @ directions
            scaled = (projected.asinh() + _ASINH_RANGE) * (N_BINS / (2 * _ASINH_RANGE))
            bins = scaled.floor().long().clamp(0, N_BINS - 1) + torch.arange(N_DIRECTIONS) * N_BINS
            counts[index] = torch.bincount(bins.flatten(), minlength=N_DIRECTIONS * N_BINS).view(N_DIRECTIONS, N_BINS)
        return cls(counts)

    def merge(self, other: "PatchHistograms") -> "PatchHistograms":
        """Return the histograms of the union of two disjoint sets."""
        return PatchHistograms(self.counts + other.counts)


def pool_counts(blocks: Sequence[PatchHistograms], weights: NDArray[np.int64]) -> Tensor:
    """Return sums of the counts of blocks, (sums, levels, directions, bins), float64.

    Args:
        blocks: The blocks.
        weights: How often each block counts in each sum, (sums, blocks).
    """
    counts = torch.stack([block.counts for block in blocks]).double()
    return (torch.from_numpy(weights).double() @ counts.flatten(1)).view(-1, *counts.shape[1:])


def resampled_distances(
    measured: Sequence[PatchHistograms], clean: Sequence[PatchHistograms], weights: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return `sliced_wasserstein` of two sets for every resampling of their blocks, (resamplings, levels).

    Args:
        measured: Blocks of one set.
        clean: The same blocks of the clean set.
        weights: How often each block counts, (resamplings, blocks).
    """
    chunks = [weights[start : start + _CHUNK] for start in range(0, len(weights), _CHUNK)]
    found = [sliced_wasserstein(*(pool_counts(side, rows) for side in (measured, clean))) for rows in chunks]
    return np.concatenate(found)


def sliced_wasserstein(measured: Tensor, clean: Tensor) -> NDArray[np.float64]:
    """Return the sliced Wasserstein distance of two sets of patches for each level, (…, levels); NaN without patches.

    Per level it is the mean over directions of W2² of the projections (Rabin et al. 2011), over the mean variance of
    the clean ones (at least that of rounding to 8 bits), as `frechet_distance` is relative. The distributions are those
    of the histograms, uniform within each bin; their quantile functions are compared at 128 quantiles.

    The patches are those of Karras et al. 2018 (section 5), who take W1 and divide each set by its own deviation. That
    hides lost contrast, and W1 ranks degradations less like networks do (docs/measurements.md).

    Args:
        measured: Counts of `PatchHistograms`, (…, levels, directions, bins), float64.
        clean: Those of the clean set.
    """
    values, clean_values = (projection_quantiles(counts) for counts in (measured, clean))
    distances = (values - clean_values).square().mean((-2, -1))
    variances = clean_values.var(-1, correction=0).mean(-1).clamp(min=_QUANTIZATION_VARIANCE)
    is_present = (measured.sum((-2, -1)) > 0) & (clean.sum((-2, -1)) > 0)
    return np.asarray(torch.where(is_present, distances / variances, math.nan).numpy(), dtype=np.float64)


def projection_quantiles(counts: Tensor) -> Tensor:
    """Return the projections in levels of 255 at 128 quantiles, (…, 128), of counts (…, bins); 0 without patches."""
    totals = counts.sum(-1, keepdim=True)
    reached = F.pad(counts / totals.clamp(min=1), (1, 0)).cumsum(-1)
    wanted = (torch.arange(_N_QUANTILES, dtype=torch.float64) + 0.5) / _N_QUANTILES
    upper = torch.searchsorted(reached, wanted.expand(*counts.shape[:-1], -1).contiguous()).clamp(1, N_BINS)
    borders = torch.linspace(-_ASINH_RANGE, _ASINH_RANGE, N_BINS + 1, dtype=torch.float64).sinh()
    before, after = reached.gather(-1, upper - 1), reached.gather(-1, upper)
    weight = (wanted - before) / (after - before)
    return torch.where(totals > 0, torch.lerp(borders[upper - 1], borders[upper], weight), 0)


def laplacian_levels(image: Tensor) -> list[Tensor]:
    """Return the levels of the Laplacian pyramid of an image, the finest first, without the low-pass residual.

    Levels are differences of an image and the next smaller one, enlarged (Burt & Adelson 1983), with the kernel
    (1, 4, 6, 4, 1) / 16 and mirrored borders. There is one for each image of at least 16 pixels, and at most 5.

    Args:
        image: (1, 3, H, W), sides of at least 16 pixels.
    """
    current = image.float().cpu()
    levels: list[Tensor] = []
    while len(levels) < MAX_LEVELS and min(current.shape[-2:]) >= MIN_LEVEL_SIDE:
        smaller = _smooth(current)[..., ::2, ::2]
        spread = torch.zeros_like(current)
        spread[..., ::2, ::2] = smaller
        levels.append(current - 4 * _smooth(spread))
        current = smaller
    return levels


def _smooth(image: Tensor) -> Tensor:
    """Return the binomial mean of 5 × 5 pixels of (1, 3, H, W)."""
    kernel = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    padded = F.pad(image, (2, 2, 2, 2), mode="reflect")
    rows = F.conv2d(padded, kernel.view(1, 1, 5, 1).expand(3, 1, 5, 1), groups=3)
    return F.conv2d(rows, kernel.view(1, 1, 1, 5).expand(3, 1, 1, 5), groups=3)


@cache
def _random_directions() -> Tensor:
    """Return unit vectors (147, directions), float32, from a fixed seed."""
    directions = np.random.default_rng(0).standard_normal((3 * PATCH_SIDE**2, N_DIRECTIONS))
    return torch.from_numpy(directions / np.linalg.norm(directions, axis=0)).float()


def _extract_random_patches(level: Tensor, seed: int) -> Tensor:
    """Return at most `MAX_PATCHES` patches (n, 147) of a level (1, 3, H, W); equal sizes give equal positions."""
    rows, columns = (side - PATCH_SIDE + 1 for side in level.shape[-2:])
    n_patches = min(rows * columns, MAX_PATCHES)
    positions = np.random.default_rng(seed).choice(rows * columns, n_patches, replace=False)
    windows = level[0].unfold(1, PATCH_SIDE, 1).unfold(2, PATCH_SIDE, 1)
    row, column = (torch.from_numpy(index) for index in np.divmod(positions, columns))
    return windows[:, row, column].transpose(0, 1).reshape(n_patches, -1)
