"""Evidence: how much of the difference between two sets is more than chance, and a map that keeps no more than that.

Two sets of photos differ by what they show as well as by how they were restored. How far they differ by chance can be
seen from what the result changes when one image, or a block of images, is left out. Patches of one image are far from
independent, so what is counted is images or blocks, not patches.

A set of a dozen photos cannot show d² numbers. Latents are about stationary, so the frequencies of a patch (its
discrete cosine transform along both sides) hardly depend on one another: there is a map of the channels for each
frequency, p² maps of c × c in place of one of c·p² × c·p². Low frequencies are what photos show, high ones how they
were restored, so evidence is weighed for each frequency on its own.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deepot.errors import MomentsError
from deepot.gaussian import transport_matrix
from deepot.linalg import eigh_psd, symmetrise
from deepot.moments import Moments, merge_in_order

MOST_SCALE = 4.0
"""No direction is stretched or shrunk by more: what is as good as gone on one side is not brought back from chance."""

_TINY = torch.finfo(torch.float64).tiny


@dataclass(frozen=True)
class Evidence:
    """How far a difference can be trusted.

    Attributes:
        spread: share of Σ ‖T_f − I‖², over the frequencies f of a patch, that chance does not explain, 0 to 1.
        mean: the same of the squared difference of the means.
        images: effective number of images of the smaller side, fewer than there are where few of them hold most patches
            (Kish 1965: (Σw)² / Σw²).
    """

    spread: float
    mean: float
    images: float


@dataclass(frozen=True)
class EvidentMap:
    """The map x → matrix (x − source_mean) + target_mean; (d, d), symmetric positive definite, and (d,), float64."""

    matrix: Tensor
    source_mean: Tensor
    target_mean: Tensor
    evidence: Evidence


@dataclass(frozen=True)
class _Side:
    """The blocks of one set.

    Attributes:
        weights: (n,), share of the patches.
        means: (n, d).
        spreads: (p², n, c, c), second moments of deviations from the whole set's mean, by frequency.
        images: number of images.
        covariance: (d, d), of the whole set.
    """

    weights: Tensor
    means: Tensor
    spreads: Tensor
    images: int
    covariance: Tensor

    @classmethod
    def of(cls, blocks: Sequence[Moments], patch_size: int) -> "_Side":
        whole = merge_in_order(blocks)
        counts = torch.tensor([block.count for block in blocks], dtype=torch.float64)
        spreads = []
        for block in blocks:
            off = block.mean - whole.mean
            spreads.append(to_frequencies(block.scatter / block.count + torch.outer(off, off), patch_size))
        means = torch.stack([block.mean for block in blocks])
        by_frequency = torch.stack(spreads, dim=1)
        return cls(counts / counts.sum(), means, by_frequency, whole.images, whole.gaussian().covariance)

    @property
    def effective_images(self) -> float:
        """Kish's effective number."""
        return self.images / (len(self.weights) * float(self.weights.square().sum()))


def evident_map(
    source: Sequence[Moments],
    reference: Sequence[Moments],
    patch_size: int,
    doubt: float = 1.0,
    *,
    paired: bool = False,
) -> EvidentMap:
    """The map between two sets, drawn towards the identity by what chance explains.

    For each frequency f, T_f is the transport matrix of the channels' covariances, and I + w_f (T_f − I) is used with
    the positive-part James–Stein weight (Efron & Morris 1973) w_f = max(0, 1 − doubt · s_f² / ‖T_f − I‖²). s_f² is the
    variance of T_f by the choice of images, summed over its entries: the jackknife's over blocks (Efron & Stein 1981).
    The difference of the means is weighed likewise along each eigenvector of the average covariance.

    Args:
        source: moments of the restored images, each of one image or of a few.
        reference: moments of the natural images, likewise.
        patch_size: p; vectors are c·p² long, in the order channel, row, column.
        doubt: how many times its variance by chance a squared difference must be in order to count.
        paired: block number i of both sides is of the same scenes, so they are left out together.

    Raises:
        MomentsError: fewer than two blocks with patches on a side, or pairs that do not match in number.
    """
    sides = _sides(source, reference, patch_size, paired)
    maps, kept = [], []
    for spreads in zip(*(side.spreads for side in sides), strict=True):
        matrix, off, chance = _channels(sides, spreads, paired)
        identity = torch.eye(len(matrix), dtype=torch.float64)
        values, vectors = eigh_psd(torch.lerp(identity, matrix, _weight(off, chance, doubt)))
        maps.append((vectors * values.clamp(1 / MOST_SCALE, MOST_SCALE)) @ vectors.mT)
        kept.append((off, chance))
    basis, difference, chance = _shift(sides, paired)
    mean = sides[0].weights @ sides[0].means
    target = mean + basis @ (_weight(difference.square(), chance, doubt) * difference)
    evidence = _evidence(sides, kept, difference, chance)
    return EvidentMap(from_frequencies(torch.stack(maps), patch_size), mean, target, evidence)


def evidence_of(
    source: Sequence[Moments], reference: Sequence[Moments], patch_size: int, *, paired: bool = False
) -> Evidence:
    """How far the map between two sets can be trusted; arguments and errors as for `evident_map`."""
    sides = _sides(source, reference, patch_size, paired)
    kept = [_channels(sides, spreads, paired)[1:] for spreads in zip(*(side.spreads for side in sides), strict=True)]
    return _evidence(sides, kept, *_shift(sides, paired)[1:])


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


def _sides(
    source: Sequence[Moments], reference: Sequence[Moments], patch_size: int, paired: bool
) -> tuple[_Side, _Side]:
    blocks = usable(source, reference, paired=paired)
    if min(map(len, blocks)) < 2:
        raise MomentsError(
            f"sets of {len(blocks[0])} and {len(blocks[1])} images or blocks cannot be told from chance: "
            "give at least 2 on either side"
        )
    restored, natural = (_Side.of(side, patch_size) for side in blocks)
    return restored, natural


def _channels(sides: Sequence[_Side], spreads: Sequence[Tensor], paired: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The channels' map (c, c) at a frequency, its squared distance from the identity, and what of that is chance."""
    weights = [side.weights for side in sides]
    matrix = transport_matrix(*(torch.tensordot(w, s, 1) for w, s in zip(weights, spreads, strict=True)))
    off = (matrix - torch.eye(len(matrix), dtype=torch.float64)).square().sum()
    return matrix, off, _jackknife(weights, spreads, transport_matrix, paired).sum()


def _shift(sides: Sequence[_Side], paired: bool) -> tuple[Tensor, Tensor, Tensor]:
    """A basis (d, d), the difference of the means in it (d,), and how large its square is by chance (d,)."""
    _, basis = eigh_psd((sides[0].covariance + sides[1].covariance) / 2)
    weights, means = [side.weights for side in sides], [side.means @ basis for side in sides]
    difference = weights[1] @ means[1] - weights[0] @ means[0]
    chance = _jackknife(weights, means, lambda restored, natural: natural - restored, paired)
    return basis, difference, chance


def _evidence(
    sides: Sequence[_Side], kept: Sequence[tuple[Tensor, Tensor]], difference: Tensor, chance: Tensor
) -> Evidence:
    spread = _share(torch.stack([off for off, _ in kept]), torch.stack([chance for _, chance in kept]))
    return Evidence(spread, _share(difference.square(), chance), min(side.effective_images for side in sides))


def _share(squared: Tensor, chance: Tensor) -> float:
    """The share of the sum of squares that chance does not explain; of nothing, none."""
    return float((_weight(squared, chance, 1.0) * squared).sum() / squared.sum().clamp(min=_TINY))


def _weight(squared: Tensor, chance: Tensor, doubt: float) -> Tensor:
    """Positive-part James–Stein weights of values with these squares and variances."""
    return (1 - doubt * chance / squared.clamp(min=_TINY)).clamp(min=0)


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


def _cosines(patch_size: int) -> Tensor:
    """The orthonormal two-dimensional discrete cosine transform of a patch, (p², p²), frequencies in rows."""
    places = torch.arange(patch_size, dtype=torch.float64)
    rows = torch.cos(torch.pi / patch_size * (places + 0.5) * places[:, None]) * (2 / patch_size) ** 0.5
    rows[0] /= 2**0.5
    return torch.kron(rows, rows)


def to_frequencies(matrix: Tensor, patch_size: int) -> Tensor:
    """Covariances of channels at each frequency (p², c, c), of a matrix (c·p², c·p²); the rest is dropped."""
    cosines, taps = _cosines(patch_size), patch_size**2
    cut = matrix.reshape(len(matrix) // taps, taps, -1, taps)
    return torch.einsum("fi,aibj,fj->fab", cosines, cut, cosines)


def from_frequencies(maps: Tensor, patch_size: int) -> Tensor:
    """The matrix (c·p², c·p²) that is maps[f] (c, c) at frequency f."""
    cosines = _cosines(patch_size)
    full = torch.einsum("fi,fab,fj->aibj", cosines, maps, cosines)
    return symmetrise(full.reshape(maps.shape[1] * patch_size**2, -1))
