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
from deepot.transport.patch_operator import detail_energy, patches_in_bands

FORMAT = "deepot-levels-1"
EDGES = 2 ** (torch.arange(-128, 129, dtype=torch.float64) / 4)
"""Level i holds energies above EDGES[i − 1] and up to EDGES[i]; the first and the last are open."""


class Classes(NamedTuple):
    """The patches of a set in classes of equally many, from the least detail to the most.

    Attributes:
        bounds: (classes − 1,), detail energies, ascending, float64; what equals a bound belongs below it.
        gaussians: mean and covariance of each class.
    """

    bounds: Tensor
    gaussians: tuple[Gaussian, ...]


@dataclass(frozen=True)
class Levels:
    """Moments of patches in R^d by level; merging any split of a set gives those of the set.

    Attributes:
        dimension: d.
        images: number of images the patches come from.
        levels: level → moments of its patches, ascending, those alone that have any; their `images` are 0.
    """

    dimension: int
    images: int
    levels: Mapping[int, Moments]

    @classmethod
    def empty(cls, dimension: int) -> "Levels":
        """Levels of no patches in R^dimension: the neutral element of `merge`."""
        return cls(dimension, 0, {})

    @property
    def count(self) -> int:
        """Number of patches."""
        return sum(moments.count for moments in self.levels.values())

    def merge(self, other: "Levels") -> "Levels":
        """Levels of the union of two disjoint sets.

        Raises:
            MomentsError: the two have different dimensions.
        """
        nothing = Moments.empty(self.dimension).merge(Moments.empty(other.dimension))  # raises where they differ
        levels = {
            level: self.levels.get(level, nothing).merge(other.levels.get(level, nothing))
            for level in sorted({*self.levels, *other.levels})
        }
        return Levels(self.dimension, self.images + other.images, levels)

    def whole(self) -> Moments:
        """Moments of all patches."""
        if not self.levels:
            return Moments.empty(self.dimension)
        whole = merge_in_order(self.levels.values())
        return Moments(whole.count, self.images, whole.mean, whole.scatter)

    def classes(self, number: int) -> Classes:
        """Cut the patches into `number` classes.

        A cut seldom falls between two levels. Where it falls inside one, the level's patches belong to both classes, by
        shares, so that classes are of equal weight; the bound is where it would be if the logarithms of the energies
        were spread evenly over the level.

        Raises:
            MomentsError: fewer than two patches a class.
        """
        if self.count < 2 * number:
            raise MomentsError(
                f"a mixture of {number} needs at least {2 * number} latent patches a side, there are {self.count}: "
                "give more or larger images, or fewer components"
            )
        counts = torch.tensor([moments.count for moments in self.levels.values()], dtype=torch.float64)
        ends = counts.cumsum(0)
        starts = ends - counts
        cuts = torch.arange(number + 1, dtype=torch.float64) * (self.count / number)
        taken = torch.minimum(ends, cuts[1:, None]) - torch.maximum(starts, cuts[:-1, None])
        first = torch.searchsorted(ends, cuts[1:-1])
        within = (cuts[1:-1] - starts[first]) / counts[first]
        level = torch.tensor(list(self.levels))[first]
        lower, upper = (EDGES[edge.clamp(0, len(EDGES) - 1)] for edge in (level - 1, level))
        bounds = lower ** (1 - within) * upper**within
        return Classes(bounds, tuple(self._gaussian(row) for row in (taken.clamp(min=0) / counts)))

    def _gaussian(self, shares: Tensor) -> Gaussian:
        """The Gaussian of a share of each level."""
        taken = [(share, each) for share, each in zip(shares.tolist(), self.levels.values(), strict=True) if share]
        count = sum(share * each.count for share, each in taken)
        mean = torch.stack([each.mean * (share * each.count / count) for share, each in taken]).sum(0)
        scatter = torch.zeros(self.dimension, self.dimension, dtype=torch.float64)
        for share, each in taken:
            off = each.mean - mean
            scatter += share * (each.scatter + each.count * torch.outer(off, off))
        return Gaussian(mean, scatter / (count - 1))

    def to_bytes(self, about: Mapping[str, str] | None = None) -> bytes:
        """The levels as a safetensors file; equal levels give equal bytes."""
        d, parts = self.dimension, self.levels.values()
        tensors = {
            "images": torch.tensor([self.images]),
            "levels": torch.tensor(list(self.levels), dtype=torch.int64),
            "counts": torch.tensor([part.count for part in parts], dtype=torch.int64),
            "means": torch.cat([torch.empty(0, dtype=torch.float64), *(part.mean for part in parts)]).reshape(-1, d),
            "scatters": torch.cat([torch.empty(0, d, dtype=torch.float64), *(part.scatter for part in parts)]),
        }
        return save_tensors(tensors, {"deepot": json.dumps({"format": FORMAT, **(about or {})}, sort_keys=True)})

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "levels") -> "Levels":
        """Read what `to_bytes` wrote.

        Raises:
            MomentsError: `data` (called `name` in the message) is not a file of levels.
        """
        try:
            tensors = load_tensors(data)
            means = tensors["means"]
            scatters = tensors["scatters"].reshape(*means.shape, means.shape[1])
            columns = (tensors["levels"].tolist(), tensors["counts"].tolist(), means, scatters)
            levels = {level: Moments(count, 0, mean, s) for level, count, mean, s in zip(*columns, strict=True)}
            return cls(means.shape[1], int(tensors["images"]), levels)
        except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
            raise MomentsError(f"{name} is not a file of levels ({error})") from error


def patch_levels(latents: Tensor, patch_size: int) -> Levels:
    """Levels of all overlapping p×p patches of one image's latents (1, c, h, w), in bands of bounded memory."""
    found = Levels.empty(latents.shape[1] * patch_size**2)
    for patches in patches_in_bands(latents, patch_size):
        level = torch.bucketize(detail_energy(patches, patch_size), EDGES.to(patches.device))
        present = level.bincount().nonzero().flatten().tolist()
        parts = {each: Moments.from_patches(patches[level == each], images=0) for each in present}
        found = found.merge(Levels(found.dimension, 0, parts))
    return Levels(found.dimension, int(found.count > 0), found.levels)
