"""Latent patches: their moments, and an affine map of patches as one convolution."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from deepot.moments import Moments

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


def patch_moments(latents: Tensor, patch_size: int) -> Moments:
    """Moments of all overlapping p×p patches of one image's latents (1, c, h, w), in bands of bounded memory."""
    moments = Moments.empty(latents.shape[1] * patch_size**2)
    for patches in patches_in_bands(latents, patch_size):
        moments = moments.merge(Moments.from_patches(patches, images=0))
    return Moments(moments.count, int(moments.count > 0), moments.mean, moments.scatter)


def overlaps(rows: int, columns: int, patch_size: int) -> Tensor:
    """How many of rows × columns overlapping p×p patches cover each position, (rows + p − 1, columns + p − 1)."""

    def along(patches: int) -> Tensor:
        positions = torch.arange(patches + patch_size - 1)
        return positions.clamp(max=patches - 1) - (positions - patch_size + 1).clamp(min=0) + 1

    return torch.outer(along(rows), along(columns))


class PatchTransport:
    """x ↦ A x + b on every overlapping patch of replicate-padded latents, overlaps averaged.

    Unfolding, mapping and folding are linear and shift-invariant, so away from the border all of it is one convolution
    with a (2p−1)×(2p−1) kernel. Within p//2 of the border fewer patches overlap; there the patches are mapped by a
    p×p convolution and folded, on strips as thin as that takes.
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
        """Prepare the kernels.

        Args:
            matrix: A (d, d) with d = c·p², patch values ordered (channel, row, column).
            bias: b (d,).
            patch_size: p, odd.
            dtype: of the computation.
            device: of the computation.
        """
        self.patch_size = p = patch_size
        self.radius = p // 2
        channels = len(bias) // p**2
        blocks = matrix.double().reshape(channels, p, p, channels, p, p)
        kernel = torch.zeros(channels, channels, 2 * p - 1, 2 * p - 1, dtype=torch.float64)
        for row in range(p):  # where in its patch the output value lies
            for column in range(p):
                window = (slice(p - 1 - row, 2 * p - 1 - row), slice(p - 1 - column, 2 * p - 1 - column))
                kernel[:, :, window[0], window[1]] += blocks[:, row, column]
        self._kernel = (kernel / p**2).to(device, dtype)
        self._kernel_bias = bias.double().reshape(channels, p * p).mean(1).to(device, dtype)
        self._patch_kernel = matrix.reshape(-1, channels, p, p).to(device, dtype)
        self._patch_bias = bias.to(device, dtype)

    def __call__(self, latents: Tensor) -> Tensor:
        """Transport latents.

        Args:
            latents: (B, c, h, w) of the dtype and on the device of the kernels, any h, w ≥ 1.

        Returns:
            (B, c, h, w).
        """
        radius, (height, width) = self.radius, latents.shape[-2:]
        if radius and min(height, width) <= 2 * radius:
            return self._folded(_padded(latents, (-radius, height + radius), (-radius, width + radius)))
        output = torch.empty_like(latents)
        inside, sideways = slice(radius, width - radius or None), (-radius, width + radius)
        rows = max(1, _TRANSPORTED_VALUES // (latents.shape[1] * width))
        for top in range(radius, height - radius, rows):
            bottom = min(top + rows, height - radius)
            band = _padded(latents, (top - 2 * radius, bottom + 2 * radius), sideways)
            output[..., top:bottom, inside] = F.conv2d(band, self._kernel, self._kernel_bias)
        if radius == 0:
            return output
        inner, outer = 3 * radius, (-radius, height + radius)  # how far in lies what the outer `radius` depend on
        output[..., :radius, :] = self._folded(_padded(latents, (-radius, inner), sideways))[..., :radius, :]
        last = _padded(latents, (height - inner, height + radius), sideways)
        output[..., -radius:, :] = self._folded(last)[..., -radius:, :]
        output[..., :radius] = self._folded(_padded(latents, outer, (-radius, inner)))[..., :radius]
        last = _padded(latents, outer, (width - inner, width + radius))
        output[..., -radius:] = self._folded(last)[..., -radius:]
        return output

    def _folded(self, padded: Tensor) -> Tensor:
        """Map each patch of `padded`, add up the overlaps, divide by their number, cut the padding off."""
        mapped = F.conv2d(padded, self._patch_kernel, self._patch_bias)
        rows, columns = mapped.shape[-2:]
        size, radius = padded.shape[-2:], self.radius
        folded = F.fold(mapped.flatten(2), size, self.patch_size)
        covered = overlaps(rows, columns, self.patch_size).to(folded)
        return (folded / covered)[..., radius : size[0] - radius, radius : size[1] - radius]


def _padded(latents: Tensor, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    """A region of latents; what of it lies outside repeats the outermost rows and columns."""
    (top, bottom), (left, right) = rows, columns
    height, width = latents.shape[-2:]
    region = latents[..., max(top, 0) : bottom, max(left, 0) : right]
    return F.pad(
        region, (max(-left, 0), max(right - width, 0), max(-top, 0), max(bottom - height, 0)), mode="replicate"
    )
