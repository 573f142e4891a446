"""Latent patches, and an affine map of patches as one convolution."""

from collections.abc import Iterator
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

BAND_VALUES = 8_000_000
"""Patch values unfolded at a time: 64 MB in float64."""
_TRANSPORTED_VALUES = 4_000_000  # latent values transported at a time: 16 MB in float32


def extract_patches(latents: Tensor, patch_size: int) -> Tensor:
    """All overlapping p×p patches, without padding.

    Args:
        latents: (B, c, h, w).
        patch_size: p, odd.

    Returns:
        (n, c·p²), values ordered (channel, row, column); n = B·(h−p+1)·(w−p+1), 0 where a side is shorter than p.
    """
    _, channels, height, width = latents.shape
    if min(height, width) < patch_size:
        return latents.new_empty(0, channels * patch_size**2)
    return F.unfold(latents, patch_size).transpose(1, 2).reshape(-1, channels * patch_size**2)


def detail_energy(patches: Tensor, patch_size: int) -> Tensor:
    """Mean square of what is left of patches (n, c·p²) without the mean of each channel, (n,)."""
    channels = patches.reshape(len(patches), -1, patch_size**2)
    return (channels - channels.mean(2, keepdim=True)).square().mean((1, 2))


def patches_in_bands(latents: Tensor, patch_size: int) -> Iterator[Tensor]:
    """All overlapping p×p patches of one image's latents (1, c, h, w), (n, c·p²) at a time, float64."""
    _, channels, height, width = latents.shape
    rows = max(1, BAND_VALUES // (channels * patch_size**2 * width))
    for top in range(0, height - patch_size + 1, rows):
        yield extract_patches(latents[:, :, top : top + rows + patch_size - 1].double(), patch_size)


def overlaps(rows: int, columns: int, patch_size: int) -> Tensor:
    """How many of rows × columns overlapping p×p patches cover each position, (rows + p − 1, columns + p − 1)."""

    def along(patches: int) -> Tensor:
        positions = torch.arange(patches + patch_size - 1)
        return positions.clamp(max=patches - 1) - (positions - patch_size + 1).clamp(min=0) + 1

    return torch.outer(along(rows), along(columns))


class PatchTransport:
    """x ↦ A x + b on every overlapping patch of replicate-padded latents, overlaps averaged.

    Unfolding, mapping and folding are linear. A position becomes the mean of what the patches that cover it say, over
    the places that it has in them: a convolution, and the same one wherever these places are. Away from the border they
    are all p×p, and the kernel has (2p−1)×(2p−1) weights. Within p//2 of the border there are fewer, and each of the
    outer rows, columns and corner positions has a kernel of its own, made when it is first needed.
    """

    def __init__(
        self,
        matrix: Tensor,
        bias: Tensor,
        patch_size: int,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        """Keep the map.

        Args:
            matrix: A (d, d) with d = c·p², patch values ordered (channel, row, column).
            bias: b (d,).
            patch_size: p, odd.
            dtype: of the computation.
            device: of the computation.
        """
        self.patch_size = p = patch_size
        channels = len(bias) // p**2
        self._matrix = matrix.double().cpu().reshape(channels, p, p, channels, p, p)
        self._bias = bias.double().cpu().reshape(channels, p, p)
        self._dtype, self._device = dtype, device
        self._kernels: dict[tuple[range, range], tuple[Tensor, Tensor]] = {}

    def __call__(self, latents: Tensor) -> Tensor:
        """Transport latents.

        Args:
            latents: (B, c, h, w) of the dtype and on the device of the computation, any h, w ≥ 1.

        Returns:
            (B, c, h, w).
        """
        height, width = latents.shape[-2:]
        most = max(1, _TRANSPORTED_VALUES // (latents.shape[1] * width))
        output = torch.empty_like(latents)
        for rows, row_places in _alike(height, self.patch_size):
            for columns, column_places in _alike(width, self.patch_size):
                kernel, bias = self._kernel(row_places, column_places)
                across = self._reach(columns, column_places)
                for top in range(rows.start, rows.stop, most):
                    band = range(top, min(top + most, rows.stop))
                    region = _padded(latents, self._reach(band, row_places), across)
                    moved = F.conv2d(region, kernel, bias)
                    output[..., band.start : band.stop, columns.start : columns.stop] = moved
        return output

    def _reach(self, positions: range, places: range) -> tuple[int, int]:
        """First position on which these depend, and the one behind the last."""
        return positions.start - places[-1], positions.stop + self.patch_size - 1 - places[0]

    def _kernel(self, rows: range, columns: range) -> tuple[Tensor, Tensor]:
        """Kernel and bias of positions that have these places in the patches that cover them."""
        key = rows, columns
        if key not in self._kernels:
            p, channels = self.patch_size, len(self._bias)
            size = p + len(rows) - 1, p + len(columns) - 1
            kernel = torch.zeros(channels, channels, *size, dtype=torch.float64)
            for row, column in product(rows, columns):
                top, left = rows[-1] - row, columns[-1] - column
                kernel[:, :, top : top + p, left : left + p] += self._matrix[:, row, column]
            bias = self._bias[:, rows.start : rows.stop, columns.start : columns.stop].mean((1, 2))
            kernel /= len(rows) * len(columns)
            self._kernels[key] = kernel.to(self._device, self._dtype), bias.to(self._device, self._dtype)
        return self._kernels[key]


def _alike(length: int, patch_size: int) -> Iterator[tuple[range, range]]:
    """Runs of positions along an axis, each with the places that its positions have in the patches that cover them."""
    radius = patch_size // 2

    def places(position: int) -> tuple[int, int]:
        return max(0, position + radius - length + 1), min(patch_size - 1, position + radius)

    edges = [*range(min(radius + 1, length)), *range(max(radius + 1, length - radius), length)]
    for start, stop in zip(edges, [*edges[1:], length], strict=True):
        first, last = places(start)
        yield range(start, stop), range(first, last + 1)


def _padded(latents: Tensor, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    """A region of latents; what of it lies outside repeats the outermost rows and columns."""
    (top, bottom), (left, right) = rows, columns
    height, width = latents.shape[-2:]
    region = latents[..., max(top, 0) : bottom, max(left, 0) : right]
    return F.pad(
        region, (max(-left, 0), max(right - width, 0), max(-top, 0), max(bottom - height, 0)), mode="replicate"
    )
