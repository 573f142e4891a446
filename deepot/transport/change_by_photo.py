"""What a map changes in each photo of a set, kept apart."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from deepot.errors import MomentsError
from deepot.transport.change_sums import ChangeSums
from deepot.transport.merging import merge_in_order
from deepot.transport.moments import WAY_OUT, pack_statistics, unpack_statistics
from deepot.transport.validity import check_tensors

CHANGE_BY_PHOTO_FORMAT = "deepot-change-by-photo-2"


@dataclass(frozen=True)
class ChangeByPhoto:
    """The sums over each of the pairs of a set, in order, and the scores of their restored photos.

    Attributes:
        empty: The sums over no pairs.
        sums: The sums over each pair that could be measured.
        scores: What each of these photos is like, in k numbers, (n, k), float64.
    """

    empty: ChangeSums
    sums: tuple[ChangeSums, ...]
    scores: Tensor

    @classmethod
    def of_none(cls, n_bands: int, n_scores: int) -> "ChangeByPhoto":
        """Return those of no pairs: the neutral element of `merge`."""
        return cls(ChangeSums.empty(n_bands), (), torch.zeros(0, n_scores, dtype=torch.float64))

    @classmethod
    def of_photo(cls, sums: ChangeSums, scores: Tensor) -> "ChangeByPhoto":
        """Return those of one pair with scores (k,); of none if the sums are empty."""
        if not sums.totals[2]:
            return cls.of_none(sums.n_bands, len(scores))
        return cls(ChangeSums.empty(sums.n_bands), (sums,), scores.double()[None])

    def merge(self, other: "ChangeByPhoto") -> "ChangeByPhoto":
        """Return those of the pairs of both sets.

        Raises:
            MomentsError: The two have different numbers of bands or scores.
        """
        if self.empty.n_bands != other.empty.n_bands or self.scores.shape[1] != other.scores.shape[1]:
            raise MomentsError("sums of photos with different numbers of bands or scores cannot be merged")
        return ChangeByPhoto(self.empty, self.sums + other.sums, torch.cat([self.scores, other.scores]))

    @property
    def total(self) -> ChangeSums:
        """The sums over all pairs."""
        return merge_in_order([self.empty, *self.sums])

    def to_bytes(self, metadata: Mapping[str, str] | None = None) -> bytes:
        """Return the sums as a safetensors file; equal sums and metadata give equal bytes."""
        tensors = {
            name: torch.stack([getattr(each, name) for each in (self.empty, *self.sums)]) for name in vars(self.empty)
        }
        return pack_statistics(
            tensors | {"scores": self.scores}, {"format": CHANGE_BY_PHOTO_FORMAT, **(metadata or {})}
        )

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "sums") -> "ChangeByPhoto":
        """Read what `to_bytes` returned.

        Raises:
            MomentsError: `data`, called `name` in the message, is not such a file, or its numbers cannot be the sums of
                photos.
        """
        try:
            tensors = unpack_statistics(data)
            scores = tensors.pop("scores")
            rows = [dict(zip(tensors, each, strict=True)) for each in zip(*tensors.values(), strict=True)]
            empty, *sums = (ChangeSums.from_tensors(row) for row in rows)
            check_tensors({"scores": scores}, {"scores": (len(sums), scores.shape[-1])})
            if any(not each.totals[2] for each in sums) or empty.totals.any():
                raise ValueError("its sums cannot be those of photos")
            return cls(empty, tuple(sums), scores)
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise MomentsError(f"{name} is not a file of the sums of a change ({error}); {WAY_OUT}") from error
