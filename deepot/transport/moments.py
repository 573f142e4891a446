"""Moments: the count, mean and scatter of a set of vectors, with an associative merge."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from deepot.errors import MomentsError
from deepot.transport.gaussian import Gaussian

MOMENTS_FORMAT = "deepot-moments-1"


@dataclass(frozen=True)
class Moments:
    """Count, mean and scatter of vectors in R^d; merging any split of a set gives the moments of the set.

    Attributes:
        count: number of vectors n, 0 for the empty set.
        images: number of images the vectors come from; vectors of one image are far from independent.
        mean: (d,), float64; zeros where n = 0.
        scatter: Σ (x−μ)(x−μ)ᵀ, (d, d), float64.
    """

    count: int
    images: int
    mean: Tensor
    scatter: Tensor

    @classmethod
    def empty(cls, dimension: int) -> "Moments":
        """Moments of no vectors in R^dimension: the neutral element of `merge`."""
        zeros = torch.zeros(dimension, dtype=torch.float64)
        return cls(0, 0, zeros, torch.zeros(dimension, dimension, dtype=torch.float64))

    @classmethod
    def from_patches(cls, patches: Tensor, images: int = 1) -> "Moments":
        """Moments of the rows of (n, d), n ≥ 0, in two passes in float64."""
        if len(patches) == 0:
            return cls.empty(patches.shape[1])
        patches = patches.double()
        mean = patches.mean(0)
        centred = patches - mean
        return cls(len(patches), images, mean.cpu(), (centred.mT @ centred).cpu())

    @property
    def dimension(self) -> int:
        """The d of R^d."""
        return len(self.mean)

    def merge(self, other: "Moments") -> "Moments":
        """Moments of the union of two disjoint sets (Chan, Golub, LeVeque 1979, eqs. 1.5a and b).

        Raises:
            MomentsError: the two have different dimensions.
        """
        if self.dimension != other.dimension:
            raise MomentsError(
                f"moments of dimension {self.dimension} and {other.dimension} cannot be merged: "
                "they were gathered with other patch sizes or autoencoders"
            )
        if self.count == 0 or other.count == 0:
            return self if other.count == 0 else other
        count = self.count + other.count
        mean_difference = other.mean - self.mean
        mean = self.mean + mean_difference * (other.count / count)
        scatter = (
            self.scatter
            + other.scatter
            + torch.outer(mean_difference, mean_difference) * (self.count * other.count / count)
        )
        return Moments(count, self.images + other.images, mean, scatter)

    def gaussian(self) -> Gaussian:
        """The Gaussian with this mean and the unbiased covariance scatter / (n − 1).

        Raises:
            MomentsError: fewer than two vectors.
        """
        if self.count < 2:
            raise MomentsError(
                f"a covariance needs at least 2 latent patches, there are {self.count}: give more or larger images"
            )
        return Gaussian(self.mean, self.scatter / (self.count - 1))

    def to_bytes(self, metadata: dict[str, str] | None = None) -> bytes:
        """The moments as a safetensors file; equal moments give equal bytes."""
        tensors = {
            "count": torch.tensor([self.count, self.images]),
            "mean": self.mean.contiguous(),
            "scatter": self.scatter.contiguous(),
        }
        # One metadata key only: safetensors writes several in no fixed order.
        return save_tensors(
            tensors, {"deepot": json.dumps({"format": MOMENTS_FORMAT, **(metadata or {})}, sort_keys=True)}
        )

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "moments") -> "Moments":
        """Read what `to_bytes` wrote.

        Raises:
            MomentsError: `data` (called `name` in the message) is not a moments file.
        """
        try:
            tensors = load_tensors(data)
            count, images = (int(number) for number in tensors["count"])
            moments = cls(count, images, tensors["mean"], tensors["scatter"])
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            raise MomentsError(f"{name} is not a moments file ({error})") from error
        shape = (moments.mean.numel(), moments.mean.numel())
        doubles = moments.mean.dtype == moments.scatter.dtype == torch.float64
        if moments.scatter.shape != shape or moments.mean.ndim != 1 or not doubles or count < 0 or images < 0:
            raise MomentsError(f"{name} is not a moments file (scatter of shape {tuple(moments.scatter.shape)})")
        return moments


def read_autoencoder_sha256(data: bytes, name: str = "moments") -> str:
    """SHA-256 of the autoencoder that a moments file was gathered with; empty where it does not say so.

    Raises:
        MomentsError: `data` (called `name` in the message) is not a moments file.
    """
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        metadata = json.loads(header.get("__metadata__", {}).get("deepot", "{}"))
        return str(metadata.get("autoencoder_sha256", ""))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise MomentsError(f"{name} is not a moments file ({type(error).__name__}: {error})") from error


class Mergeable(Protocol):
    """Statistics of a set that can be merged with those of a disjoint one."""

    def merge(self, other: Self) -> Self:
        """Statistics of the union."""


MergeableT = TypeVar("MergeableT", bound=Mergeable)


def merge_in_order(items: Iterable[MergeableT]) -> MergeableT:
    """Merge parts over a fixed binary tree given by their order, holding log₂(n) of them at a time.

    Floating-point addition is not associative, so the tree decides the last bits: it depends on nothing but the order.

    Raises:
        MomentsError: no parts, or parts of different dimensions.
    """
    tree: list[tuple[int, MergeableT]] = []  # (height, subtree), heights falling
    for item in items:
        height = 0
        while tree and tree[-1][0] == height:
            item = tree.pop()[1].merge(item)
            height += 1
        tree.append((height, item))
    if not tree:
        raise MomentsError("there are no moments to merge: not one image gave latent patches")
    merged = tree.pop()[1]
    while tree:
        merged = tree.pop()[1].merge(merged)
    return merged
