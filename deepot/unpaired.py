"""Unpaired sets: a transport map that keeps only the differences for which there is evidence.

Two sets of different photos differ by what they show as well as by how they were restored. How far they differ by
chance can be seen from how far their images differ among themselves. Patches of one image are far from independent, so
what is counted is images, or blocks of images, not patches.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deepot.errors import MomentsError
from deepot.gaussian import Gaussian
from deepot.linalg import eigh_psd, symmetrise
from deepot.moments import Moments, merge_in_order

MOST_SCALE = 4.0
"""No direction is stretched or shrunk by more: what is as good as gone on one side is not brought back from chance."""

_FLOOR = 1e-10  # directions with less than this share of the largest variance are left alone


@dataclass(frozen=True)
class EvidentMap:
    """The map x → matrix (x − source_mean) + target_mean.

    Attributes:
        matrix: (d, d), symmetric positive definite, float64.
        source_mean: (d,).
        target_mean: (d,).
        spread_evidence: mean over directions of the share of the difference in log variance that is kept, 0 to 1.
        mean_evidence: the same of the difference of the means.
    """

    matrix: Tensor
    source_mean: Tensor
    target_mean: Tensor
    spread_evidence: float
    mean_evidence: float


@dataclass(frozen=True)
class _Estimate:
    """A value for each direction, and its variance by the choice of images, (d,) each."""

    value: Tensor
    chance: Tensor

    def less(self, other: "_Estimate") -> "_Estimate":
        """The difference of two independent estimates."""
        return _Estimate(self.value - other.value, self.chance + other.chance)

    def weights(self, doubt: float) -> Tensor:
        """Positive-part James–Stein weights."""
        return (1 - doubt * self.chance / self.value.square().clamp(min=1e-300)).clamp(min=0)


def evident_map(source: Sequence[Moments], reference: Sequence[Moments], doubt: float) -> EvidentMap:
    """The map between two sets of different images, the identity in directions without evidence.

    In the eigenvectors u of the average of both covariances, the map scales by exp(w g / 2), g being the difference of
    the log variances along u, and shifts by v δ, δ being the difference of the means along u. The weights w and v are
    positive-part James–Stein ones (Efron & Morris 1973), max(0, 1 − doubt · s² / g²), with s² the variance of g by the
    choice of images, estimated from how the blocks differ among themselves.

    Args:
        source: moments of the restored images, each of one image or of a few.
        reference: moments of the natural images, likewise.
        doubt: how many times its variance by chance a squared difference must be in order to count.

    Raises:
        MomentsError: fewer than two blocks with patches on a side.
    """
    blocks = [[block for block in side if block.count] for side in (source, reference)]
    if min(map(len, blocks)) < 2:
        raise MomentsError(
            f"unpaired sets of {len(blocks[0])} and {len(blocks[1])} images or shards cannot be told from chance: "
            "give at least 2 on either side"
        )
    wholes = [merge_in_order(side).gaussian() for side in blocks]
    values, basis = eigh_psd((wholes[0].covariance + wholes[1].covariance) / 2)
    variances = [((whole.covariance @ basis) * basis).sum(0) for whole in wholes]
    alive = torch.stack([values, *variances]).amin(0) > _FLOOR * values.max()
    restored, natural = (
        [_mean(side, whole, basis), _log_variance(side, whole, basis, alive)]
        for side, whole in zip(blocks, wholes, strict=True)
    )
    shift, spread = (mine.less(other) for mine, other in zip(natural, restored, strict=True))
    shift_weights, spread_weights = (found.weights(doubt) * alive for found in (shift, spread))
    scale = torch.exp(spread_weights * spread.value / 2).clamp(1 / MOST_SCALE, MOST_SCALE)
    mean = wholes[0].mean
    return EvidentMap(
        symmetrise((basis * scale) @ basis.mT),
        mean,
        mean + basis @ (shift_weights * shift.value),
        float(spread_weights[alive].mean()),
        float(shift_weights[alive].mean()),
    )


def _mean(blocks: Sequence[Moments], whole: Gaussian, basis: Tensor) -> _Estimate:
    """The means along the directions."""
    means = torch.stack([block.mean for block in blocks]) @ basis
    return _Estimate(whole.mean @ basis, _chance(means, _counts(blocks)))


def _log_variance(blocks: Sequence[Moments], whole: Gaussian, basis: Tensor, alive: Tensor) -> _Estimate:
    """The log variances along the directions, of deviations from the mean of the whole set."""
    variances = []
    for block in blocks:
        off = (block.mean - whole.mean) @ basis
        variances.append(((block.scatter @ basis) * basis).sum(0) / block.count + off.square())
    counts = _counts(blocks)
    total = torch.where(alive, counts @ torch.stack(variances) / counts.sum(), 1)
    relative = torch.stack(variances) / total  # the log's variance, to first order
    return _Estimate(total.log(), _chance(relative, counts))


def _counts(blocks: Sequence[Moments]) -> Tensor:
    return torch.tensor([block.count for block in blocks], dtype=torch.float64)


def _chance(values: Tensor, counts: Tensor) -> Tensor:
    """The variance of the weighted mean of blocks' values (n, d), which are independent and of one variance."""
    shares = counts / counts.sum()
    off = values - shares @ values
    return shares.square().sum() * (shares @ off.square()) / (1 - shares.square().sum())
