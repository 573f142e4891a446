"""Statistics of how much detail the photos of one set show, and of what a map adds to it."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from deepot.errors import MomentsError
from deepot.transport.moments import WAY_OUT, Moments, pack_statistics, unpack_statistics
from deepot.transport.validity import check_tensors

ENERGIES_FORMAT = "deepot-energies-1"
_MIN_ENERGY = (0.1 / 255) ** 2  # per sample; keeps the logarithms of photos without detail finite
_MOMENTS = ("count", "mean", "scatter")


@dataclass(frozen=True)
class EnergySums:
    """Energies (mean squares) of the bands of luma of the photos of one side of an unpaired calibration, in [0, 1]².

    The bands are those of a change but for its coarse part, n of them from coarse to fine, and before them one an
    octave coarser than the first: the reference band, which restoration leaves nearly as it is.

    Attributes:
        logs: Moments of the photos' vectors of the logarithms of their energies, in R^(n + 1); one vector a photo.
        change: (3, n), float64, sums over photos: the energies of the n bands, their mean products with the change that
            a map makes, and the energies of that change; the last two are zero for photos that no map is applied to.

    Example:
        >>> import deepot, torch
        >>> bands = torch.ones(3, 1, 3, 8, 8)
        >>> sums = deepot.EnergySums.from_photo(bands, 0.5 * bands[1:])
        >>> sums.n_bands, sums.change.tolist(), sums.merge(sums).logs.count
        (2, [[1.0, 1.0], [0.5, 0.5], [0.25, 0.25]], 2)
    """

    logs: Moments
    change: Tensor

    @classmethod
    def empty(cls, n_bands: int) -> "EnergySums":
        """Return the statistics of no photos with n bands: the neutral element of `merge`."""
        return cls(Moments.empty(n_bands + 1), torch.zeros(3, n_bands, dtype=torch.float64))

    @classmethod
    def from_photo(cls, bands: Tensor, change_bands: Tensor | None = None) -> "EnergySums":
        """Return the statistics of one photo.

        Args:
            bands: Its bands, (n + 1, 1, C, H, W).
            change_bands: Those of the change without the reference band, (n, 1, C, H, W); None without a map.
        """
        photo = bands.flatten(1).double()
        change = torch.zeros_like(photo[1:]) if change_bands is None else change_bands.flatten(1).double()
        energies = photo.square().mean(1)
        logs = Moments.from_patches(energies.clamp(min=_MIN_ENERGY).log()[None])
        sums = torch.stack([energies[1:], (photo[1:] * change).mean(1), change.square().mean(1)])
        return cls(logs, sums.cpu())

    @property
    def n_bands(self) -> int:
        """The number of bands n, without the reference band."""
        return self.change.shape[1]

    def merge(self, other: "EnergySums") -> "EnergySums":
        """Return the statistics of the union of two disjoint sets of photos.

        Raises:
            MomentsError: The two have different numbers of bands.
        """
        if self.n_bands != other.n_bands:
            raise MomentsError(f"energies of {self.n_bands} and {other.n_bands} bands cannot be merged")
        return EnergySums(self.logs.merge(other.logs), self.change + other.change)

    def to_bytes(self, metadata: Mapping[str, str] | None = None) -> bytes:
        """Return the statistics as a safetensors file; equal statistics and metadata give equal bytes."""
        count = torch.tensor([self.logs.count, self.logs.images])
        tensors = {"count": count, "mean": self.logs.mean, "scatter": self.logs.scatter, "change": self.change}
        return pack_statistics(tensors, {"format": ENERGIES_FORMAT, **(metadata or {})})

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "energies") -> "EnergySums":
        """Read what `to_bytes` returned.

        Raises:
            MomentsError: `data`, called `name` in the message, is not such a file, or its numbers cannot be those of
                photos.
        """
        try:
            tensors = unpack_statistics(data)
            logs = Moments.from_tensors({key: tensors.pop(key) for key in _MOMENTS})
            check_tensors(tensors, {"change": (3, logs.dimension - 1)})
            if (tensors["change"][[0, 2]] < 0).any():
                raise ValueError("its sums cannot be those of photos")
            return cls(logs, tensors["change"])
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise MomentsError(f"{name} is not a file of energies ({error}); {WAY_OUT}") from error
