"""Levels: moments of latent patches, told apart by how much detail the patches hold.

The classes of a mixture are quantiles of the whole set, which are known only when all of it has been seen. So moments
are gathered by level, a quarter of an octave of detail energy each, which merge like those of the whole set; classes
are put together from levels afterwards.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from deepot.errors import MomentsError
from deepot.transport.gaussian import Gaussian
from deepot.transport.moments import Moments, merge_in_order
from deepot.transport.patch_operator import detail_energy, iter_patch_bands

BINNED_MOMENTS_FORMAT = "deepot-levels-1"
BIN_EDGES = 2 ** (torch.arange(-128, 129, dtype=torch.float64) / 4)
"""Level i holds energies above BIN_EDGES[i − 1] and up to BIN_EDGES[i]; the first and the last are open."""


class QuantileClasses(NamedTuple):
    """The patches of a set in classes of equally many, from the least detail to the most.

    Attributes:
        bounds: (classes − 1,), detail energies, ascending, float64; what equals a bound belongs below it.
        gaussians: mean and covariance of each class.
    """

    bounds: Tensor
    gaussians: tuple[Gaussian, ...]


@dataclass(frozen=True)
class BinnedMoments:
    """Moments of patches in R^d by level; merging any split of a set gives those of the set.

    Attributes:
        dimension: d.
        images: number of images the patches come from.
        bins: level → moments of its patches, ascending, those alone that have any; their `images` are 0.
    """

    dimension: int
    images: int
    bins: Mapping[int, Moments]

    @classmethod
    def empty(cls, dimension: int) -> "BinnedMoments":
        """Levels of no patches in R^dimension: the neutral element of `merge`."""
        return cls(dimension, 0, {})

    @property
    def count(self) -> int:
        """Number of patches."""
        return sum(moments.count for moments in self.bins.values())

    def merge(self, other: "BinnedMoments") -> "BinnedMoments":
        """Levels of the union of two disjoint sets.

        Raises:
            MomentsError: the two have different dimensions.
        """
        no_patches = Moments.empty(self.dimension).merge(Moments.empty(other.dimension))  # raises where they differ
        bins = {
            level: self.bins.get(level, no_patches).merge(other.bins.get(level, no_patches))
            for level in sorted({*self.bins, *other.bins})
        }
        return BinnedMoments(self.dimension, self.images + other.images, bins)

    def total(self) -> Moments:
        """Moments of all patches."""
        if not self.bins:
            return Moments.empty(self.dimension)
        merged = merge_in_order(self.bins.values())
        return Moments(merged.count, self.images, merged.mean, merged.scatter)

    def quantile_classes(self, n_classes: int) -> QuantileClasses:
        """Cut the patches into `n_classes` classes.

        A cut seldom falls between two levels. Where it falls inside one, the level's patches belong to both classes, by
        shares, so that classes are of equal weight; the bound is where it would be if the logarithms of the energies
        were spread evenly over the level.

        Raises:
            MomentsError: fewer than two patches a class.
        """
        if self.count < 2 * n_classes:
            raise MomentsError(
                f"a mixture of {n_classes} needs at least {2 * n_classes} latent patches a side, there are {self.count}: "
                "give more or larger images, or fewer components"
            )
        counts = torch.tensor([moments.count for moments in self.bins.values()], dtype=torch.float64)
        ends = counts.cumsum(0)
        starts = ends - counts
        cuts = torch.arange(n_classes + 1, dtype=torch.float64) * (self.count / n_classes)
        counts_taken = torch.minimum(ends, cuts[1:, None]) - torch.maximum(starts, cuts[:-1, None])
        first = torch.searchsorted(ends, cuts[1:-1])
        fraction_in_bin = (cuts[1:-1] - starts[first]) / counts[first]
        cut_bins = torch.tensor(list(self.bins))[first]
        lower, upper = (BIN_EDGES[edge.clamp(0, len(BIN_EDGES) - 1)] for edge in (cut_bins - 1, cut_bins))
        bounds = lower ** (1 - fraction_in_bin) * upper**fraction_in_bin
        return QuantileClasses(
            bounds, tuple(self._weighted_gaussian(row) for row in (counts_taken.clamp(min=0) / counts))
        )

    def _weighted_gaussian(self, weights: Tensor) -> Gaussian:
        """The Gaussian of a share of each level."""
        weighted = [(share, each) for share, each in zip(weights.tolist(), self.bins.values(), strict=True) if share]
        count = sum(share * each.count for share, each in weighted)
        mean = torch.stack([each.mean * (share * each.count / count) for share, each in weighted]).sum(0)
        scatter = torch.zeros(self.dimension, self.dimension, dtype=torch.float64)
        for share, each in weighted:
            offset = each.mean - mean
            scatter += share * (each.scatter + each.count * torch.outer(offset, offset))
        return Gaussian(mean, scatter / (count - 1))

    def to_bytes(self, metadata: Mapping[str, str] | None = None) -> bytes:
        """The levels as a safetensors file; equal levels give equal bytes."""
        d, moments_of_bins = self.dimension, self.bins.values()
        tensors = {
            "images": torch.tensor([self.images]),
            "levels": torch.tensor(list(self.bins), dtype=torch.int64),
            "counts": torch.tensor([part.count for part in moments_of_bins], dtype=torch.int64),
            "means": torch.cat([torch.empty(0, dtype=torch.float64), *(part.mean for part in moments_of_bins)]).reshape(
                -1, d
            ),
            "scatters": torch.cat(
                [torch.empty(0, d, dtype=torch.float64), *(part.scatter for part in moments_of_bins)]
            ),
        }
        return save_tensors(
            tensors, {"deepot": json.dumps({"format": BINNED_MOMENTS_FORMAT, **(metadata or {})}, sort_keys=True)}
        )

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "levels") -> "BinnedMoments":
        """Read what `to_bytes` wrote.

        Raises:
            MomentsError: `data` (called `name` in the message) is not a file of levels.
        """
        try:
            tensors = load_tensors(data)
            means = tensors["means"]
            scatters = tensors["scatters"].reshape(*means.shape, means.shape[1])
            columns = (tensors["levels"].tolist(), tensors["counts"].tolist(), means, scatters)
            bins = {level: Moments(count, 0, mean, s) for level, count, mean, s in zip(*columns, strict=True)}
            return cls(means.shape[1], int(tensors["images"]), bins)
        except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
            raise MomentsError(f"{name} is not a file of levels ({error})") from error


def compute_binned_patch_moments(latents: Tensor, patch_size: int) -> BinnedMoments:
    """Levels of all overlapping p×p patches of one image's latents (1, c, h, w), in bands of bounded memory."""
    binned = BinnedMoments.empty(latents.shape[1] * patch_size**2)
    for patches in iter_patch_bands(latents, patch_size):
        bin_indices = torch.bucketize(detail_energy(patches, patch_size), BIN_EDGES.to(patches.device))
        occupied = bin_indices.bincount().nonzero().flatten().tolist()
        bins = {each: Moments.from_patches(patches[bin_indices == each], images=0) for each in occupied}
        binned = binned.merge(BinnedMoments(binned.dimension, 0, bins))
    return BinnedMoments(binned.dimension, int(binned.count > 0), binned.bins)
