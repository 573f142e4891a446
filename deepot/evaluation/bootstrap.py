"""The bootstrap over photos: how much an estimate depends on which photos were measured."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepot.transport import Moments

MAX_BOOTSTRAP_BLOCKS = 64
"""Largest number of blocks that photos are resampled in."""
_JITTER = 1e-12  # relative ridge, so that features without variance have a Cholesky factor


@dataclass(frozen=True)
class BootstrapEstimate:
    """An estimate and its 95 % bootstrap interval over photos (percentiles); the bounds are NaN without replicates."""

    value: float
    low: float
    high: float

    @classmethod
    def from_replicates(cls, value: float, replicates: NDArray[np.float64]) -> "BootstrapEstimate":
        """Return the value with the 2.5th and 97.5th percentile of the finite replicates."""
        finite = replicates[np.isfinite(replicates)]
        if len(finite) == 0:
            return cls(value, math.nan, math.nan)
        low, high = np.percentile(finite, [2.5, 97.5])
        return cls(value, float(low), float(high))


def resample_counts(n_photos: int, replicates: int) -> NDArray[np.int64]:
    """Return how often each block of photos is sampled in each replicate, (replicates, blocks), from a fixed seed.

    Photos are sampled with replacement (Efron & Tibshirani 1993), a clean photo together with its variants, and the
    same ones for every point, so that points can be compared replicate by replicate.
    """
    blocks = min(n_photos, MAX_BOOTSTRAP_BLOCKS)
    return np.random.default_rng(0).multinomial(blocks, [1 / blocks] * blocks, size=replicates)


def bootstrap_mean(values: Sequence[float], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean of the finite ones of one value per photo in every replicate, (replicates,); NaN if none is."""
    blocks = counts.shape[1]
    finite = [[value for value in values[block::blocks] if math.isfinite(value)] for block in range(blocks)]
    totals, sizes = counts @ np.array([sum(each) for each in finite]), counts @ np.array([len(each) for each in finite])
    return np.asarray(np.divide(totals, sizes, out=np.full(len(counts), np.nan), where=sizes > 0), dtype=np.float64)


def bootstrap_distance(
    measured: Sequence[Moments], clean: Sequence[Moments], counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return `MetricAccumulator.frechet_distance_to` in every replicate, (replicates,); NaN without a covariance."""
    sides = [_BlockMoments(measured), _BlockMoments(clean)]
    return np.array([_cholesky_frechet_distance(*(side.pool(row) for side in sides)) for row in counts])


def correct_bias(replicates: NDArray[np.float64], value: float) -> NDArray[np.float64]:
    """Return the replicates of a distance without the bias of resampling.

    The distance between small sets is overestimated, and resampling them overestimates it again by about as much: the
    spread of the replicates is kept and their mean is moved to `value`.
    """
    return replicates - np.nanmean(replicates) + value if np.isfinite(replicates).any() else replicates


class _BlockMoments:
    """Moments of blocks, ready to be pooled with weights."""

    def __init__(self, blocks: Sequence[Moments]) -> None:
        self.counts = torch.tensor([block.count for block in blocks], dtype=torch.float64)
        self.means = torch.stack([block.mean for block in blocks])
        self.scatters = torch.stack([block.scatter for block in blocks])

    def pool(self, weights: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Return mean and covariance of the union that contains each block as often as its weight, 0 or more times."""
        multiplicities = torch.from_numpy(weights).double()
        weighted_counts = multiplicities * self.counts
        mean = weighted_counts @ self.means / weighted_counts.sum().clamp(min=1)
        offsets = self.means - mean
        scatter = (
            torch.einsum("b,bij->ij", multiplicities, self.scatters) + (weighted_counts[:, None] * offsets).mT @ offsets
        )
        return mean, scatter / (weighted_counts.sum() - 1).clamp(min=1)


def _cholesky_frechet_distance(measured: tuple[Tensor, Tensor], clean: tuple[Tensor, Tensor]) -> float:
    """Return `frechet_distance` computed with a Cholesky factor instead of a root, which is several times faster."""
    total = clean[1].trace()
    if not total > 0:
        return math.nan
    factor = torch.linalg.cholesky(clean[1] + _JITTER * total * torch.eye(len(clean[0]), dtype=torch.float64))
    cross = torch.linalg.eigvalsh(factor.mT @ measured[1] @ factor).clamp(min=0).sqrt().sum()
    squared = (measured[0] - clean[0]).square().sum() + measured[1].trace() + total - 2 * cross
    return max(0.0, float(squared / total))
