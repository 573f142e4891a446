"""The standard error of a map, and the factor by which it is shrunk.

Two sets of images differ by what they show as well as by how they were restored. How much of the difference is chance
is estimated with the jackknife: by how the map changes when one image, or a block of images, is left out. Patches of
one image are far from independent, so the units are images or blocks, not patches.

The jackknife runs where it is cheap: latents are nearly stationary, so the frequencies of a patch (its discrete cosine
transform along both sides) are nearly independent, and p² maps of c × c, one for each frequency, take the place of one
of c·p² × c·p².
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deepot.errors import MomentsError
from deepot.transport.dct import to_frequencies
from deepot.transport.gaussian import transport_matrix
from deepot.transport.linalg import sqrt_psd
from deepot.transport.merging import merge_in_order
from deepot.transport.moments import Moments
from deepot.transport.shrinkage import Shrinkage

_TINY = torch.finfo(torch.float64).tiny
_ROUNDING_RTOL = 1e-18  # relative to the variance: a smaller difference is rounding only


@dataclass(frozen=True)
class MapUncertainty:
    """The uncertainty of a map that comes from the choice of images.

    Attributes:
        standard_error: Standard error of the map, relative to its length: √(s² / E‖T(x) − x‖²). About 1 for two
            independent sets of the same kind.
        effective_images: Effective number of images of the smaller set (Kish 1965: (Σw)² / Σw²); smaller than the
            number of images if a few of them hold most of the patches.
        squared_norms: What each of the 1 + p² parts contributes to E‖T(x) − x‖²: the difference of the means, and the
            frequencies of a patch as ordered by `dct_basis`.
        variances: The sampling variance of each part, likewise.
    """

    standard_error: float
    effective_images: float
    squared_norms: tuple[float, ...]
    variances: tuple[float, ...]

    def shrinkage(self, shrinkage_se: float) -> Shrinkage:
        """Return what remains of the parts of the map when each is shrunk by its own standard error.

        A part of relative standard error s keeps λ = max(0, 1 − (k s)²), with k = `shrinkage_se`. With k = 1 that is
        the positive-part shrinkage of James & Stein (1961): of a part of squared length ‖m‖² and sampling variance v,
        1 − v / ‖m‖² remains, an estimate of the factor of least expected squared error. Nothing remains of a map whose
        standard error is as large as the map, as for two sets of the same kind.
        """
        patch_size = round((len(self.variances) - 1) ** 0.5)
        if shrinkage_se * self.standard_error >= 1:
            return Shrinkage.uniform(0.0, patch_size)
        norms, variances = (torch.tensor(each, dtype=torch.float64) for each in (self.squared_norms, self.variances))
        remaining = (1 - shrinkage_se**2 * variances / norms.clamp(min=_TINY)).clamp(min=0)
        total = float(norms.sum())
        overall = min(1.0, float(remaining @ norms) / total) if total else 1.0
        return Shrinkage(float(remaining[0]), remaining[1:], overall)


@dataclass(frozen=True)
class _Side:
    """The n blocks of one set.

    Attributes:
        weights: The blocks' fractions of the patches, (n,).
        means: (n, d).
        covariances: Second moments of the deviations from the mean of the set, by frequency, (p², n, c, c).
        images: Number of images.
    """

    weights: Tensor
    means: Tensor
    covariances: Tensor
    images: int

    @classmethod
    def from_blocks(cls, blocks: Sequence[Moments], patch_size: int) -> "_Side":
        merged = merge_in_order(blocks)
        counts = torch.tensor([block.count for block in blocks], dtype=torch.float64)
        covariances = []
        for block in blocks:
            offset = block.mean - merged.mean
            covariances.append(to_frequencies(block.scatter / block.count + torch.outer(offset, offset), patch_size))
        means = torch.stack([block.mean for block in blocks])
        return cls(counts / counts.sum(), means, torch.stack(covariances, dim=1), merged.images)

    @property
    def effective_images(self) -> float:
        """Kish's effective number of images."""
        return self.images / (len(self.weights) * float(self.weights.square().sum()))


def estimate_uncertainty(
    source: Sequence[Moments], reference: Sequence[Moments], patch_size: int, *, paired: bool = False
) -> MapUncertainty:
    """Estimate the uncertainty of the map between two sets.

    s² is the variance of T(x) − x over the choice of images: the jackknife estimate over blocks (Efron & Stein 1981),
    summed over the difference of the means and the frequencies of a patch. Covariances stay centred at the mean of
    all blocks when a block is left out, so s² is too small for two or three images that differ much in brightness.

    Args:
        source: Moments of the restored images, in blocks of one or several images.
        reference: Moments of the natural images, likewise.
        patch_size: Side p of the patches; vectors have c·p² values, ordered (channel, row, column).
        paired: Whether block i of both sets shows the same scenes, so that both are left out together.

    Raises:
        MomentsError: A set has fewer than two non-empty blocks, or paired sets have different numbers of blocks.
    """
    blocks = drop_empty_blocks(source, reference, paired=paired)
    if min(map(len, blocks)) < 2:
        raise MomentsError(
            f"sets of {len(blocks[0])} and {len(blocks[1])} images or blocks are too small to estimate a standard "
            "error: give at least 2 in each set"
        )
    sides = [_Side.from_blocks(side, patch_size) for side in blocks]
    weights = [side.weights for side in sides]
    norms_and_variances = [
        _squared_norm_and_variance(
            weights, [side.means for side in sides], lambda restored, natural: natural - restored, paired
        )
    ]
    for covariances in zip(*(side.covariances for side in sides), strict=True):
        root = sqrt_psd(torch.tensordot(weights[0], covariances[0], 1))
        norms_and_variances.append(
            _squared_norm_and_variance(weights, covariances, _displacement_statistic(root), paired)
        )
    squared_norms, variances = (torch.stack(terms) for terms in zip(*norms_and_variances, strict=True))
    squared_norm, sampling_variance = float(squared_norms.sum()), float(variances.sum())
    total_variance = sum(float(each.diagonal(dim1=-2, dim2=-1).sum(-1) @ weights[0]) for each in sides[0].covariances)
    return MapUncertainty(
        (sampling_variance / max(squared_norm, _ROUNDING_RTOL * total_variance, _TINY)) ** 0.5,
        min(side.effective_images for side in sides),
        tuple(squared_norms.tolist()),
        tuple(variances.tolist()),
    )


def _displacement_statistic(root: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the statistic (T − I) Σ^½ (c, c), whose squared norm is E‖T(x) − x‖²; `root` is Σ^½."""
    identity = torch.eye(len(root), dtype=torch.float64)
    return lambda restored, natural: (transport_matrix(restored, natural) - identity) @ root


def _squared_norm_and_variance(
    weights: Sequence[Tensor],
    values: Sequence[Tensor],
    statistic: Callable[[Tensor, Tensor], Tensor],
    paired: bool,
) -> tuple[Tensor, Tensor]:
    """Return the squared norm of a statistic of both sets, and the jackknife estimate of its variance."""
    value = statistic(*(torch.tensordot(w, v, 1) for w, v in zip(weights, values, strict=True)))
    return value.square().sum(), _jackknife_variance(weights, values, statistic, paired).sum()


def drop_empty_blocks(
    source: Sequence[Moments], reference: Sequence[Moments], *, paired: bool
) -> tuple[list[Moments], list[Moments]]:
    """Return the blocks that have patches; if the sets are paired, the pairs that have them in both sets.

    Raises:
        MomentsError: Paired sets have different numbers of blocks.
    """
    if not paired:
        return [block for block in source if block.count], [block for block in reference if block.count]
    if len(source) != len(reference):
        raise MomentsError(
            f"{len(source)} restored and {len(reference)} natural images or blocks cannot be paired: give as many of "
            "one as of the other, of the same scenes, or calibrate unpaired"
        )
    nonempty = [pair for pair in zip(source, reference, strict=True) if pair[0].count and pair[1].count]
    return [pair[0] for pair in nonempty], [pair[1] for pair in nonempty]


def _jackknife_variance(
    weights: Sequence[Tensor],
    values: Sequence[Tensor],
    statistic: Callable[[Tensor, Tensor], Tensor],
    paired: bool,
) -> Tensor:
    """Return the jackknife variance of a statistic of two weighted means of blocks' values (n, …).

    Leaving out a block of weight w changes a mean by w / (1 − w) times the block's distance from it. All blocks are
    assumed to have the same variance whatever their weight, so that a block that outweighs the others does not lower
    the estimate; with equal weights this is the usual jackknife, (n − 1)/n Σ (θ₋ₖ − θ)². The variances of independent
    sets add up.
    """
    overall_means = [torch.tensordot(w, v, 1) for w, v in zip(weights, values, strict=True)]
    left_out_means = [
        list(_leave_one_out_means(w, v, mean)) for w, v, mean in zip(weights, values, overall_means, strict=True)
    ]
    restored, natural = overall_means
    if paired:
        replicates = [(weights[0], [statistic(*both) for both in zip(*left_out_means, strict=True)])]
    else:
        replicates = [
            (weights[0], [statistic(one, natural) for one in left_out_means[0]]),
            (weights[1], [statistic(restored, one) for one in left_out_means[1]]),
        ]
    centre = statistic(restored, natural)
    total = torch.zeros_like(centre)
    for block_weights, results in replicates:
        concentration = float(block_weights.square().sum())
        for weight, result in zip(block_weights.tolist(), results, strict=True):
            distance = (result - centre) * (1 - weight) / weight
            total += weight * distance.square() * concentration / (1 - concentration)
    return total


def _leave_one_out_means(weights: Tensor, values: Tensor, mean: Tensor) -> Iterator[Tensor]:
    """Yield the weighted mean without each block in turn."""
    for weight, value in zip(weights.tolist(), values, strict=True):
        yield (mean - weight * value) / (1 - weight)
