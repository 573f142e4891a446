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
_NOTHING = 1e-18  # of the variance: a difference that is rounding only


@dataclass(frozen=True)
class Evidence:
    """How far a map can be trusted.

    Attributes:
        standard_error: of the map by the choice of images, relative to its length: √(s² / E‖T(x) − x‖²). Two
            independent sets of one kind have about 1.
        images: effective number of images of the smaller side, fewer than there are where few of them hold most patches
            (Kish 1965: (Σw)² / Σw²).
    """

    standard_error: float
    images: float

    def share(self, doubt: float) -> float:
        """The share of the way, 0 to 1, that is left when `doubt` standard errors are taken off."""
        return max(0.0, 1 - doubt * self.standard_error)


@dataclass(frozen=True)
class _Side:
    """The blocks of one set.

    Attributes:
        weights: (n,), share of the patches.
        means: (n, d).
        spreads: (p², n, c, c), second moments of deviations from the whole set's mean, by frequency.
        images: number of images.
    """

    weights: Tensor
    means: Tensor
    spreads: Tensor
    images: int

    @classmethod
    def of(cls, blocks: Sequence[Moments], patch_size: int) -> "_Side":
        whole = merge_in_order(blocks)
        counts = torch.tensor([block.count for block in blocks], dtype=torch.float64)
        spreads = []
        for block in blocks:
            off = block.mean - whole.mean
            spreads.append(to_frequencies(block.scatter / block.count + torch.outer(off, off), patch_size))
        means = torch.stack([block.mean for block in blocks])
        return cls(counts / counts.sum(), means, torch.stack(spreads, dim=1), whole.images)

    @property
    def effective_images(self) -> float:
        """Kish's effective number."""
        return self.images / (len(self.weights) * float(self.weights.square().sum()))


def evidence_of(
    source: Sequence[Moments], reference: Sequence[Moments], patch_size: int, *, paired: bool = False
) -> Evidence:
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
    blocks = usable(source, reference, paired=paired)
    if min(map(len, blocks)) < 2:
        raise MomentsError(
            f"sets of {len(blocks[0])} and {len(blocks[1])} images or blocks cannot be told from chance: "
            "give at least 2 on either side"
        )
    sides = [_Side.of(side, patch_size) for side in blocks]
    weights = [side.weights for side in sides]
    found = [_moved(weights, [side.means for side in sides], lambda restored, natural: natural - restored, paired)]
    for spreads in zip(*(side.spreads for side in sides), strict=True):
        root = sqrt_psd(torch.tensordot(weights[0], spreads[0], 1))
        found.append(_moved(weights, spreads, _channels(root), paired))
    squared, chance = (float(torch.stack(part).sum()) for part in zip(*found, strict=True))
    spread = sum(float(part.diagonal(dim1=-2, dim2=-1).sum(-1) @ weights[0]) for part in sides[0].spreads)
    return Evidence(
        (chance / max(squared, _NOTHING * spread, _TINY)) ** 0.5, min(side.effective_images for side in sides)
    )


def _channels(root: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """(T − I) Σ^½ (c, c) of the channels' covariances, whose squared norm is E‖T(x) − x‖²; `root` is Σ^½."""
    identity = torch.eye(len(root), dtype=torch.float64)
    return lambda restored, natural: (transport_matrix(restored, natural) - identity) @ root


def _moved(
    weights: Sequence[Tensor],
    values: Sequence[Tensor],
    statistic: Callable[[Tensor, Tensor], Tensor],
    paired: bool,
) -> tuple[Tensor, Tensor]:
    """The squared norm of a statistic of both sides, and what of it is variance."""
    whole = statistic(*(torch.tensordot(w, v, 1) for w, v in zip(weights, values, strict=True)))
    return whole.square().sum(), _jackknife(weights, values, statistic, paired).sum()


def usable(
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
    both = [pair for pair in zip(source, reference, strict=True) if pair[0].count and pair[1].count]
    return [pair[0] for pair in both], [pair[1] for pair in both]


def _jackknife(
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
    wholes = [torch.tensordot(w, v, 1) for w, v in zip(weights, values, strict=True)]
    without = [list(_without(w, v, whole)) for w, v, whole in zip(weights, values, wholes, strict=True)]
    restored, natural = wholes
    if paired:
        found = [(weights[0], [statistic(*both) for both in zip(*without, strict=True)])]
    else:
        found = [
            (weights[0], [statistic(one, natural) for one in without[0]]),
            (weights[1], [statistic(restored, one) for one in without[1]]),
        ]
    centre = statistic(restored, natural)
    total = torch.zeros_like(centre)
    for shares, results in found:
        concentration = float(shares.square().sum())
        for share, result in zip(shares.tolist(), results, strict=True):
            distance = (result - centre) * (1 - share) / share
            total += share * distance.square() * concentration / (1 - concentration)
    return total


def _without(weights: Tensor, values: Tensor, whole: Tensor) -> Iterator[Tensor]:
    """The weighted mean without each block in turn."""
    for weight, value in zip(weights.tolist(), values, strict=True):
        yield (whole - weight * value) / (1 - weight)


def cosines(patch_size: int) -> Tensor:
    """The orthonormal two-dimensional discrete cosine transform of a patch, (p², p²), frequencies in rows."""
    places = torch.arange(patch_size, dtype=torch.float64)
    rows = torch.cos(torch.pi / patch_size * (places + 0.5) * places[:, None]) * (2 / patch_size) ** 0.5
    rows[0] /= 2**0.5
    return torch.kron(rows, rows)


def to_frequencies(matrix: Tensor, patch_size: int) -> Tensor:
    """Covariances of channels at each frequency (p², c, c), of a matrix (c·p², c·p²); the rest is dropped."""
    basis, taps = cosines(patch_size), patch_size**2
    cut = matrix.reshape(len(matrix) // taps, taps, -1, taps)
    return torch.einsum("fi,aibj,fj->fab", basis, cut, basis)
