"""Moments of each photo of a set, kept apart: for statistics that a photo must not have a part in itself."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from deepot.errors import MomentsError
from deepot.transport.moments import WAY_OUT, Moments, pack_statistics, unpack_statistics

MOMENTS_BY_PHOTO_FORMAT = "deepot-moments-by-photo-1"
_FIELDS = ("count", "mean", "scatter")


@dataclass(frozen=True)
class MomentsByPhoto:
    """The moments of vectors in R^d of each photo of a set, in order.

    Attributes:
        dimension: d.
        photos: The moments, one for each photo that has any vectors.

    Example:
        >>> import deepot, torch
        >>> from deepot.transport import MomentsByPhoto
        >>> photo = MomentsByPhoto.of_photo(deepot.Moments.from_patches(torch.tensor([[0.0, 1.0], [2.0, 5.0]])))
        >>> len(MomentsByPhoto.from_bytes(photo.merge(photo).to_bytes()).photos)
        2
    """

    dimension: int
    photos: tuple[Moments, ...] = ()

    @classmethod
    def of_photo(cls, moments: Moments) -> "MomentsByPhoto":
        """Return those of one photo; of none if it has no vectors."""
        return cls(moments.dimension, (moments,) if moments.count else ())

    def merge(self, other: "MomentsByPhoto") -> "MomentsByPhoto":
        """Return the moments of the photos of both sets.

        Raises:
            MomentsError: The two have different dimensions.
        """
        if self.dimension != other.dimension:
            raise MomentsError(f"moments of dimension {self.dimension} and {other.dimension} cannot be merged")
        return MomentsByPhoto(self.dimension, self.photos + other.photos)

    def to_bytes(self, metadata: Mapping[str, str] | None = None) -> bytes:
        """Return the moments as a safetensors file; equal moments and metadata give equal bytes."""
        d, photos = self.dimension, self.photos
        tensors = {
            "count": torch.tensor([[each.count, each.images] for each in photos], dtype=torch.int64).reshape(-1, 2),
            "mean": torch.stack([torch.zeros(d, dtype=torch.float64), *(each.mean for each in photos)])[1:],
            "scatter": torch.stack([torch.zeros(d, d, dtype=torch.float64), *(each.scatter for each in photos)])[1:],
        }
        return pack_statistics(tensors, {"format": MOMENTS_BY_PHOTO_FORMAT, **(metadata or {})})

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "moments") -> "MomentsByPhoto":
        """Read what `to_bytes` returned.

        Raises:
            MomentsError: `data`, called `name` in the message, is not such a file, or its numbers cannot be the moments
                of photos.
        """
        try:
            tensors = unpack_statistics(data)
            stacked = [tensors[field] for field in _FIELDS]
            photos = tuple(
                Moments.from_tensors(dict(zip(_FIELDS, each, strict=True))) for each in zip(*stacked, strict=True)
            )
            return cls(tensors["mean"].shape[1], photos)
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise MomentsError(f"{name} is not a file of the moments of photos ({error}); {WAY_OUT}") from error
