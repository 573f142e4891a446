"""Moments of latent patches binned by how much detail the patches hold, and classes of equal size made from the bins.

The classes of a mixture are quantiles of the complete set, which are known only once every image has been seen. So
moments are computed in fixed bins, a quarter of an octave of detail energy wide, that merge like the moments of the
complete set; the classes are put together from the bins afterwards.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from deepot.errors import MomentsError
from deepot.transport.gaussian import Gaussian
from deepot.transport.merging import merge_in_order
from deepot.transport.moments import WAY_OUT, Moments, pack_statistics, unpack_statistics
from deepot.transport.patch_operator import detail_energy, iter_patch_bands
from deepot.transport.validity import check_counts, check_psd, check_tensors

BINNED_MOMENTS_FORMAT = "deepot-binned-moments-2"
BIN_EDGES = 2 ** (torch.arange(-128, 129, dtype=torch.float64) / 4)
"""Bin i holds energies above BIN_EDGES[i − 1] and up to BIN_EDGES[i]; the first and the last bin are open."""


class QuantileClasses(NamedTuple):
    """The patches of a set in classes of equal size, by rising detail.

    Attributes:
        bounds: Detail energies between the classes, (classes − 1,), ascending, float64; a patch whose energy equals a
            bound belongs to the class below it.
        gaussians: Mean and covariance of each class.
    """

    bounds: Tensor
    gaussians: tuple[Gaussian, ...]


@dataclass(frozen=True)
class BinnedMoments:
    """Moments of patches in R^d by bin of detail energy; merging those of any split of a set gives those of the set.

    Attributes:
        dimension: d.
        images: Number of images the patches come from.
        bins: Moments of the patches in each occupied bin, by ascending index of the bin; their `images` are 0.

    Example:
        >>> import torch
        >>> from deepot.transport import compute_binned_patch_moments
        >>> latents = torch.randn(1, 2, 16, 16, generator=torch.Generator().manual_seed(0))
        >>> binned = compute_binned_patch_moments(latents, patch_size=3)
        >>> binned.count, binned.moments().count, len(binned.quantile_classes(3).gaussians)
        (196, 196, 3)
    """

    dimension: int
    images: int
    bins: Mapping[int, Moments]

    @classmethod
    def empty(cls, dimension: int) -> "BinnedMoments":
        """Return the moments of no patches in R^dimension: the neutral element of `merge`."""
        return cls(dimension, 0, {})

    @property
    def count(self) -> int:
        """Number of patches."""
        return sum(moments.count for moments in self.bins.values())

    def merge(self, other: "BinnedMoments") -> "BinnedMoments":
        """Return the binned moments of the union of two disjoint sets.

        Raises:
            MomentsError: The two have different dimensions.
        """
        no_patches = Moments.empty(self.dimension).merge(Moments.empty(other.dimension))  # raises if they differ
        bins = {
            index: self.bins.get(index, no_patches).merge(other.bins.get(index, no_patches))
            for index in sorted({*self.bins, *other.bins})
        }
        return BinnedMoments(self.dimension, self.images + other.images, bins)

    def moments(self) -> Moments:
        """Return the moments of all patches."""
        if not self.bins:
            return Moments.empty(self.dimension)
        merged = merge_in_order(self.bins.values())
        return Moments(merged.count, self.images, merged.mean, merged.scatter)

    def quantile_classes(self, n_classes: int) -> QuantileClasses:
        """Divide the patches into `n_classes` classes of equal size.

        A quantile rarely falls between two bins. If it falls inside one, the patches of that bin belong to both classes
        in proportion, so that the classes have equal weight; the bound is placed as if the logarithms of the energies
        were spread evenly over the bin.

        Raises:
            MomentsError: There are fewer than two patches a class.
        """
        if self.count < 2 * n_classes:
            raise MomentsError(
                f"a mixture of {n_classes} needs at least {2 * n_classes} latent patches in each set, there are "
                f"{self.count}: give more or larger images, or fewer components"
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

    def _weighted_gaussian(self, fractions: Tensor) -> Gaussian:
        """Return the Gaussian of a fraction of each bin's patches."""
        taken = [
            (fraction, each) for fraction, each in zip(fractions.tolist(), self.bins.values(), strict=True) if fraction
        ]
        count = sum(fraction * each.count for fraction, each in taken)
        mean = torch.stack([each.mean * (fraction * each.count / count) for fraction, each in taken]).sum(0)
        scatter = torch.zeros(self.dimension, self.dimension, dtype=torch.float64)
        for fraction, each in taken:
            offset = each.mean - mean
            scatter += fraction * (each.scatter + each.count * torch.outer(offset, offset))
        return Gaussian(mean, scatter / (count - 1))

    def to_bytes(self, metadata: Mapping[str, str] | None = None) -> bytes:
        """Return the binned moments as a safetensors file; equal ones with equal metadata give equal bytes."""
        moments, nothing = self.bins.values(), torch.empty(0, dtype=torch.float64)
        tensors = {
            "images": torch.tensor([self.images]),
            "bins": torch.tensor(list(self.bins), dtype=torch.int64),
            "counts": torch.tensor([each.count for each in moments], dtype=torch.int64),
            "means": torch.cat([nothing, *(each.mean for each in moments)]).reshape(-1, self.dimension),
            "scatters": torch.cat([nothing.reshape(0, self.dimension), *(each.scatter for each in moments)]),
        }
        return pack_statistics(tensors, {"format": BINNED_MOMENTS_FORMAT, **(metadata or {})})

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "binned moments") -> "BinnedMoments":
        """Read what `to_bytes` returned.

        Raises:
            MomentsError: `data`, called `name` in the message, is not a file of binned moments.
        """
        try:
            return cls._from_tensors(unpack_statistics(data))
        except (KeyError, IndexError, ValueError, TypeError, RuntimeError) as error:
            raise MomentsError(f"{name} is not a file of binned moments ({error}); {WAY_OUT}") from error

    @classmethod
    def _from_tensors(cls, tensors: Mapping[str, Tensor]) -> "BinnedMoments":
        images, indices, counts = (tensors[name] for name in ("images", "bins", "counts"))
        means, (n_bins, dimension) = tensors["means"], tensors["means"].shape
        scatters = tensors["scatters"].reshape(n_bins, dimension, dimension)
        shapes = {"means": (n_bins, dimension), "scatters": (n_bins, dimension, dimension)}
        check_tensors({"means": means, "scatters": scatters}, shapes)
        for name, numbers, shape in (
            ("images", images, (1,)),
            ("bins", indices, (n_bins,)),
            ("counts", counts, (n_bins,)),
        ):
            if numbers.dtype != torch.int64 or numbers.shape != shape:
                raise ValueError(f"{name} is not made of {shape[0]} whole numbers")
        columns = (indices.tolist(), counts.tolist(), means, scatters)
        bins = {index: Moments(count, 0, mean, scatter) for index, count, mean, scatter in zip(*columns, strict=True)}
        if list(bins) != sorted(bins) or len(bins) < n_bins or not all(0 <= index <= len(BIN_EDGES) for index in bins):
            raise ValueError("bins are not ascending indices of bins")
        for moments in bins.values():
            check_counts(moments.count, min(moments.count, 1), moments.scatter)
            if not moments.count:
                raise ValueError("a bin has no patches")
        check_counts(sum(moments.count for moments in bins.values()), int(images), scatters.new_zeros(1))
        check_psd("scatters", scatters)
        return cls(dimension, int(images), bins)


def compute_binned_patch_moments(latents: Tensor, patch_size: int) -> BinnedMoments:
    """Return the binned moments of all overlapping p×p patches of one image's latents (1, c, h, w).

    Patches are unfolded in bands of bounded memory.
    """
    binned = BinnedMoments.empty(latents.shape[1] * patch_size**2)
    for patches in iter_patch_bands(latents, patch_size):
        indices = torch.bucketize(detail_energy(patches, patch_size), BIN_EDGES.to(patches.device))
        occupied = indices.bincount().nonzero().flatten().tolist()
        bins = {each: Moments.from_patches(patches[indices == each], images=0) for each in occupied}
        binned = binned.merge(BinnedMoments(binned.dimension, 0, bins))
    return BinnedMoments(binned.dimension, int(binned.count > 0), binned.bins)
