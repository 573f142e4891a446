"""Evidence: how much of the difference between two sets is more than chance, and how far to move by it.

Two sets of photos differ by what they show as well as by how they were restored. How far they differ by chance can be
seen from what the result changes when one image, or a block of images, is left out. Patches of one image are far from
independent, so what is counted is images or blocks, not patches.

Chance is measured where it is cheap: latents are about stationary, so the frequencies of a patch (its discrete cosine
transform along both sides) hardly depend on one another, and there is a map of the channels for each frequency, p² maps
of c × c in place of one of c·p² × c·p².
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deepot.errors import MomentsError
from deepot.transport.gaussian import transport_matrix
from deepot.transport.linalg import sqrt_psd
from deepot.transport.moments import Moments, merge_in_order

_TINY = torch.finfo(torch.float64).tiny
_ROUNDING_RTOL = 1e-18  # of the variance: a difference that is rounding only


@dataclass(frozen=True)
class MapUncertainty:
    """How far a map can be trusted.

    Attributes:
        standard_error: of the map by the choice of images, relative to its length: √(s² / E‖T(x) − x‖²). Two
            independent sets of one kind have about 1.
        effective_images: effective number of images of the smaller side, fewer than there are where few of them hold most patches
            (Kish 1965: (Σw)² / Σw²).
    """

    standard_error: float
    effective_images: float

    def shrinkage_factor(self, shrinkage_se: float) -> float:
        """The share of the way, 0 to 1, that is left when `shrinkage_se` standard errors are taken off."""
        return max(0.0, 1 - shrinkage_se * self.standard_error)


@dataclass(frozen=True)
class _Side:
    """The blocks of one set.

    Attributes:
        weights: (n,), share of the patches.
        means: (n, d).
        covariances: (p², n, c, c), second moments of deviations from the whole set's mean, by frequency.
        images: number of images.
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
        """Kish's effective number."""
        return self.images / (len(self.weights) * float(self.weights.square().sum()))


def estimate_uncertainty(
    source: Sequence[Moments], reference: Sequence[Moments], patch_size: int, *, paired: bool = False
) -> MapUncertainty:
    """How far the map between two sets can be trusted.

    s² is the variance of T(x) − x by the choice of images: the jackknife's over blocks (Efron & Stein 1981), added up
    over the difference of the means and, for the spread of restored patches x about theirs, the frequencies of a patch.
    Spreads stay those about the whole set's mean when a block is left out, so of two or three images that differ much
    in brightness s² is too small.

    Args:
        source: moments of the restored images, each of one image or of a few.
        reference: moments of the natural images, likewise.
        patch_size: p; vectors are c·p² long, in the order channel, row, column.
        paired: block number i of both sides is of the same scenes, so they are left out together.

    Raises:
        MomentsError: fewer than two blocks with patches on a side, or pairs that do not match in number.
    """
    blocks = drop_empty_blocks(source, reference, paired=paired)
    if min(map(len, blocks)) < 2:
        raise MomentsError(
            f"sets of {len(blocks[0])} and {len(blocks[1])} images or blocks cannot be told from chance: "
            "give at least 2 on either side"
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
    squared_norm, sampling_variance = (
        float(torch.stack(part).sum()) for part in zip(*norms_and_variances, strict=True)
    )
    total_variance = sum(float(part.diagonal(dim1=-2, dim2=-1).sum(-1) @ weights[0]) for part in sides[0].covariances)
    return MapUncertainty(
        (sampling_variance / max(squared_norm, _ROUNDING_RTOL * total_variance, _TINY)) ** 0.5,
        min(side.effective_images for side in sides),
    )


def _displacement_statistic(root: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """(T − I) Σ^½ (c, c) of the channels' covariances, whose squared norm is E‖T(x) − x‖²; `root` is Σ^½."""
    identity = torch.eye(len(root), dtype=torch.float64)
    return lambda restored, natural: (transport_matrix(restored, natural) - identity) @ root


def _squared_norm_and_variance(
    weights: Sequence[Tensor],
    values: Sequence[Tensor],
    statistic: Callable[[Tensor, Tensor], Tensor],
    paired: bool,
) -> tuple[Tensor, Tensor]:
    """The squared norm of a statistic of both sides, and what of it is variance."""
    value = statistic(*(torch.tensordot(w, v, 1) for w, v in zip(weights, values, strict=True)))
    return value.square().sum(), _jackknife_variance(weights, values, statistic, paired).sum()


def drop_empty_blocks(
    source: Sequence[Moments], reference: Sequence[Moments], *, paired: bool
) -> tuple[list[Moments], list[Moments]]:
    """The blocks that have patches; of pairs, those that have them on both sides.

    Raises:
        MomentsError: pairs, but not as many blocks on one side as on the other.
    """
    if not paired:
        return [block for block in source if block.count], [block for block in reference if block.count]
    if len(source) != len(reference):
        raise MomentsError(
            f"{len(source)} restored and {len(reference)} natural images or blocks are no pairs: give as many of "
            "either, of the same scenes, or calibrate unpaired"
        )
    nonempty = [pair for pair in zip(source, reference, strict=True) if pair[0].count and pair[1].count]
    return [pair[0] for pair in nonempty], [pair[1] for pair in nonempty]


def _jackknife_variance(
    weights: Sequence[Tensor],
    values: Sequence[Tensor],
    statistic: Callable[[Tensor, Tensor], Tensor],
    paired: bool,
) -> Tensor:
    """The variance of a statistic of two weighted means, of blocks' values (n, …) each, by leaving blocks out.

    Leaving out a block of weight w changes a mean by w / (1 − w) times the block's distance from it. Blocks are taken
    to be of one variance whatever their weight, so that one that outweighs the others does not make itself certain;
    with equal weights this is the usual jackknife, (n − 1)/n Σ (θ₋ₖ − θ)². Of independent sides, the variances add up.
    """
    overall_means = [torch.tensordot(w, v, 1) for w, v in zip(weights, values, strict=True)]
    left_out_means = [
        list(_leave_one_out_means(w, v, whole)) for w, v, whole in zip(weights, values, overall_means, strict=True)
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
    """The weighted mean without each block in turn."""
    for weight, value in zip(weights.tolist(), values, strict=True):
        yield (mean - weight * value) / (1 - weight)


def dct_basis(patch_size: int) -> Tensor:
    """The orthonormal two-dimensional discrete cosine transform of a patch, (p², p²), frequencies in rows."""
    positions = torch.arange(patch_size, dtype=torch.float64)
    rows = torch.cos(torch.pi / patch_size * (positions + 0.5) * positions[:, None]) * (2 / patch_size) ** 0.5
    rows[0] /= 2**0.5
    return torch.kron(rows, rows)


def to_frequencies(matrix: Tensor, patch_size: int) -> Tensor:
    """Covariances of channels at each frequency (p², c, c), of a matrix (c·p², c·p²); the rest is dropped."""
    basis, taps = dct_basis(patch_size), patch_size**2
    by_channel = matrix.reshape(len(matrix) // taps, taps, -1, taps)
    return torch.einsum("fi,aibj,fj->fab", basis, by_channel, basis)
