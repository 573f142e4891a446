"""Sums over calibration pairs that show what a map changes in restored photos, and how far that lowers their error."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from deepot.errors import MomentsError
from deepot.transport.validity import check_psd, check_tensors

_SHIFT = 1  # the vector of the tone curve's shift precedes the bands
_LAST = 2  # and that of the published output and that to the companion follow them


@dataclass(frozen=True)
class ChangeSums:
    """Sums over the samples of pairs of restored photos x* and clean photos x, in [0, 1].

    Changes are vectors over all samples, in this order: the shift t − x* of the tone curve; the bands of
    D(z′) − D(z), n of luma and n of chroma, each from coarse to fine; those of the reconstruction error D(z) − t,
    likewise; D(z′) − x*, the change of the published output; and c − x*, the change to the companion c, zero for pairs
    without one.

    Attributes:
        gram: Inner products of the changes, (4n + 3, 4n + 3), float64.
        products: Inner products of the changes with the error x − x*, (4n + 3,), float64.
        energies: (4, 2n), float64: sums of squares of the bands of x, of those of t, and inner products of the bands of
            t with those of the change and with those of the reconstruction error.
        totals: (4,), float64: the sum of squares of the error, the number of samples, the number of pairs, and how many
            of these have a companion.

    Example:
        >>> import deepot, torch
        >>> restored, clean = torch.rand(2, 1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        >>> bands = torch.stack([clean - restored, torch.zeros_like(clean)])[:, None]
        >>> sums = deepot.ChangeSums.from_pair(restored, restored, clean, *[bands] * 4, plain=clean)
        >>> torch.allclose(sums.gram[1, 1], sums.products[1]), sums.n_bands, int(sums.totals[2])
        (True, 1, 1)
    """

    gram: Tensor
    products: Tensor
    energies: Tensor
    totals: Tensor

    @classmethod
    def empty(cls, n_bands: int) -> "ChangeSums":
        """Return the sums over no pairs: the neutral element of `merge`."""
        n = 2 * n_bands
        shapes = (2 * n + 3, 2 * n + 3), (2 * n + 3,), (4, n), (4,)
        return cls(*(torch.zeros(shape, dtype=torch.float64) for shape in shapes))

    @classmethod
    def from_pair(
        cls,
        restored: Tensor,
        toned: Tensor,
        clean: Tensor,
        change_bands: Tensor,
        reconstruction_bands: Tensor,
        toned_bands: Tensor,
        clean_bands: Tensor,
        *,
        plain: Tensor,
        companion: Tensor | None = None,
    ) -> "ChangeSums":
        """Return the sums over one pair of photos, all (1, 3, H, W) in [0, 1].

        Args:
            restored: x*.
            toned: t, x* with the tone curve applied.
            clean: x.
            change_bands: The bands of D(z′) − D(z), (2, n, 1, 3, H, W): luma and chroma.
            reconstruction_bands: Those of D(z) − t, likewise.
            toned_bands: Those of t, likewise.
            clean_bands: Those of x, likewise.
            plain: D(z′).
            companion: c; None without one.
        """
        bands = (clean_bands, toned_bands, change_bands, reconstruction_bands)
        x, t, change, reconstruction = (each.flatten(0, 1).flatten(1).double() for each in bands)
        images = (toned, clean, plain, restored if companion is None else companion)
        shift, error, *last = ((image - restored).flatten()[None].double() for image in images)
        changes = torch.cat([shift, change, reconstruction, *last])
        energies = torch.stack([(a * b).sum(1) for a, b in ((x, x), (t, t), (t, change), (t, reconstruction))])
        counts = [error.numel(), 1, float(companion is not None)]
        totals = torch.tensor([float(error.square().sum()), *counts], dtype=torch.float64)
        return cls((changes @ changes.mT).cpu(), (changes @ error[0]).cpu(), energies.cpu(), totals)

    @property
    def n_bands(self) -> int:
        """The number of bands n of luma, and of chroma."""
        return self.energies.shape[1] // 2

    @property
    def band_slice(self) -> slice:
        """The places of the bands of D(z′) − D(z) among the changes."""
        return slice(_SHIFT, _SHIFT + 2 * self.n_bands)

    @property
    def reconstruction_slice(self) -> slice:
        """The places of the bands of the reconstruction error among the changes."""
        return slice(_SHIFT + 2 * self.n_bands, len(self.products) - _LAST)

    def merge(self, other: "ChangeSums") -> "ChangeSums":
        """Return the sums over the union of two disjoint sets of pairs.

        Raises:
            MomentsError: The two have different numbers of bands.
        """
        if self.n_bands != other.n_bands:
            raise MomentsError(f"sums over {self.n_bands} and {other.n_bands} bands cannot be merged")
        return ChangeSums(
            self.gram + other.gram,
            self.products + other.products,
            self.energies + other.energies,
            self.totals + other.totals,
        )

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "ChangeSums":
        """Return the sums with these tensors.

        Raises:
            KeyError, IndexError: One is missing, or has no axes.
            ValueError: They cannot be the sums of anything.
        """
        n = tensors["energies"].shape[-1]
        shapes = {"gram": (2 * n + 3, 2 * n + 3), "products": (2 * n + 3,), "energies": (4, n), "totals": (4,)}
        check_tensors(tensors, shapes)
        check_psd("gram", tensors["gram"])
        if n % 2 or (tensors["energies"][:2] < 0).any() or (tensors["totals"] < 0).any():
            raise ValueError("its sums cannot be those of photos")
        return cls(**tensors)
