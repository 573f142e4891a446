"""The transport between two mixtures of Gaussians as an operator on latents."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from deepot.transport.patch_operator import MAX_BAND_VALUES, count_overlaps, detail_energy, extract_patches


class MixtureTransport:
    """x ↦ A_k x + b_k on every overlapping patch of replicate-padded latents, k by its detail; overlaps averaged.

    It does with several maps what `PatchTransport` does with one. Which map applies depends on the patch, so this is no
    convolution: every patch is multiplied by a d×d matrix, in bands of bounded memory.

    >>> import deepot, torch
    >>> scale = [(k * torch.eye(9), torch.zeros(9)) for k in (1, 2)]  # patches with detail are doubled
    >>> operator = deepot.MixtureTransport(scale, torch.tensor([0.5]), patch_size=3)
    >>> flat, stripes = torch.ones(1, 1, 4, 6), torch.tensor([0.0, 3.0]).repeat(1, 1, 4, 3)
    >>> torch.equal(operator(flat), flat), torch.equal(operator(stripes), 2 * stripes)
    (True, True)
    """

    def __init__(
        self,
        maps: Sequence[tuple[Tensor, Tensor]],
        bounds: Tensor,
        patch_size: int,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        """Prepare the maps.

        Args:
            maps: A_k (d, d) with d = c·p², patch values ordered (channel, row, column), and b_k (d,), by rising detail.
            bounds: Detail energies between the classes (`detail_energy`), (len(maps) − 1,), ascending.
            patch_size: Side p of the patches, odd.
            dtype: Dtype of the computation.
            device: Device of the computation.
        """
        self.patch_size = patch_size
        self._maps = [(matrix.mT.to(device, dtype), bias.to(device, dtype)) for matrix, bias in maps]
        self._bounds = bounds.to(device, dtype)

    def __call__(self, latents: Tensor) -> Tensor:
        """Transport latents.

        Args:
            latents: (B, c, h, w) of the operator's dtype and device, any h, w ≥ 1.

        Returns:
            (B, c, h, w).
        """
        p, radius = self.patch_size, self.patch_size // 2
        images, channels, height, width = latents.shape
        padded = F.pad(latents, (radius,) * 4, mode="replicate")
        rows, columns = (side - p + 1 for side in padded.shape[-2:])
        step = max(1, MAX_BAND_VALUES // (images * channels * p**2 * columns))
        total = torch.zeros_like(padded)
        for top in range(0, rows, step):
            input_rows = slice(top, top + step + p - 1)
            band = padded[:, :, input_rows]
            transported = self._transport_patches(extract_patches(band, p)).reshape(images, -1, channels * p**2)
            total[:, :, input_rows] += F.fold(transported.mT, band.shape[-2:], p)
        coverage = count_overlaps(rows, columns, p).to(total)
        return (total / coverage)[..., radius : radius + height, radius : radius + width]

    def _transport_patches(self, patches: Tensor) -> Tensor:
        """Apply to each patch of (n, d) the map of its class."""
        class_indices = torch.bucketize(detail_energy(patches, self.patch_size), self._bounds)
        transported = torch.empty_like(patches)
        for class_index, (transposed, bias) in enumerate(self._maps):
            indices = (class_indices == class_index).nonzero().squeeze(1)
            transported[indices] = torch.addmm(bias, patches[indices], transposed)
        return transported
