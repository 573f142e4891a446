"""Count, mean and scatter of a set of vectors, with an associative merge."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from deepot.errors import MomentsError
from deepot.transport.gaussian import Gaussian
from deepot.transport.safetensors_file import digest_tensors, pack, unpack_metadata, unpack_tensors
from deepot.transport.validity import check_counts, check_psd, check_tensors

MOMENTS_FORMAT = "deepot-moments-1"
WAY_OUT = "delete it, and the next 'deepot fit' computes it again"
_DIGEST_KEY = "tensors_sha256"


@dataclass(frozen=True)
class Moments:
    """Count, mean and scatter of vectors in R^d; merging the moments of any split of a set gives those of the set.

    Attributes:
        count: Number of vectors n; 0 for the empty set.
        images: Number of images the vectors come from. Vectors of one image are far from independent.
        mean: (d,), float64; zeros if n = 0.
        scatter: Σ (x−μ)(x−μ)ᵀ, (d, d), float64.

    Example:
        >>> import deepot, torch
        >>> moments = deepot.Moments.from_patches(torch.tensor([[0.0, 1.0], [2.0, 5.0]]))
        >>> moments.count, moments.mean.tolist(), moments.scatter.tolist()
        (2, [1.0, 3.0], [[2.0, 4.0], [4.0, 8.0]])
        >>> moments
        Moments: 2 vectors of 2 values from 1 images
        >>> moments.merge(moments).gaussian().covariance.diagonal()
        tensor([1.3333, 5.3333], dtype=torch.float64)
    """

    count: int
    images: int
    mean: Tensor
    scatter: Tensor

    def __repr__(self) -> str:
        """Return the numbers of vectors, dimensions and images, in one line."""
        return f"Moments: {self.count:,} vectors of {self.dimension:,} values from {self.images:,} images"

    @classmethod
    def empty(cls, dimension: int) -> "Moments":
        """Return the moments of no vectors in R^dimension: the neutral element of `merge`."""
        zeros = torch.zeros(dimension, dtype=torch.float64)
        return cls(0, 0, zeros, torch.zeros(dimension, dimension, dtype=torch.float64))

    @classmethod
    def from_patches(cls, patches: Tensor, images: int = 1) -> "Moments":
        """Return the moments of the rows of (n, d), n ≥ 0, computed in two passes in float64."""
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

    def moments(self) -> "Moments":
        """Return these moments themselves, as every kind of statistics returns those of its vectors."""
        return self

    def merge(self, other: "Moments") -> "Moments":
        """Return the moments of the union of two disjoint sets (Chan, Golub, LeVeque 1979, eqs. 1.5a and b).

        Raises:
            MomentsError: The two have different dimensions.
        """
        if self.dimension != other.dimension:
            raise MomentsError(
                f"moments of dimension {self.dimension} and {other.dimension} cannot be merged: "
                "they were computed with different patch sizes or autoencoders"
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
        """Return the Gaussian with this mean and the unbiased covariance scatter / (n − 1).

        Raises:
            MomentsError: There are fewer than two vectors.
        """
        if self.count < 2:
            raise MomentsError(
                f"a covariance needs at least 2 latent patches, there are {self.count}: give more or larger images"
            )
        return Gaussian(self.mean, self.scatter / (self.count - 1))

    def to_bytes(self, metadata: Mapping[str, str] | None = None) -> bytes:
        """Return the moments as a safetensors file; equal moments and metadata give equal bytes."""
        tensors = {
            "count": torch.tensor([self.count, self.images]),
            "mean": self.mean,
            "scatter": self.scatter,
        }
        return pack_statistics(tensors, {"format": MOMENTS_FORMAT, **(metadata or {})})

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "moments") -> "Moments":
        """Read what `to_bytes` returned.

        Raises:
            MomentsError: `data`, called `name` in the message, is not a moments file, or its numbers cannot be the
                moments of anything.
        """
        try:
            return cls.from_tensors(unpack_statistics(data))
        except (KeyError, ValueError, TypeError) as error:
            raise MomentsError(f"{name} is not a moments file ({error}); {WAY_OUT}") from error

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "Moments":
        """Return the moments with these tensors: count (2,) of patches and images, mean (d,) and scatter (d, d).

        Raises:
            KeyError: one is missing.
            ValueError: they cannot be the moments of anything.
        """
        numbers, mean, scatter = tensors["count"], tensors["mean"], tensors["scatter"]
        dimension = mean.numel()
        check_tensors({"mean": mean, "scatter": scatter}, {"mean": (dimension,), "scatter": (dimension, dimension)})
        if numbers.dtype != torch.int64 or numbers.shape != (2,):
            raise ValueError("count is not made of two whole numbers")
        count, images = numbers.tolist()
        check_counts(count, images, scatter)
        check_psd("scatter", scatter)
        return cls(count, images, mean, scatter)


def pack_statistics(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """Return a file of statistics that records the SHA-256 of its tensors."""
    return pack(tensors, {**metadata, _DIGEST_KEY: digest_tensors(tensors)})


def unpack_statistics(data: bytes) -> dict[str, Tensor]:
    """Return the tensors of a file of statistics.

    Raises:
        ValueError: it is another file, or its tensors are not those that it was written with.
    """
    tensors, metadata = unpack_tensors(data), unpack_metadata(data)
    if metadata.get(_DIGEST_KEY, digest := digest_tensors(tensors)) != digest:  # older files have none
        raise ValueError("its numbers have changed since it was written")
    return tensors


def read_autoencoder_sha256(data: bytes, name: str = "moments") -> str:
    """Return the SHA-256 of the autoencoder that a moments file was computed with; empty if it is not recorded.

    Raises:
        MomentsError: `data`, called `name` in the message, is not a moments file.
    """
    try:
        return str(unpack_metadata(data).get("autoencoder_sha256", ""))
    except ValueError as error:
        raise MomentsError(f"{name} is not a moments file ({error})") from error
