"""Overlapping patches of latents, and an affine map of patches as a convolution."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from deepot.autoencoder import disable_tf32

MAX_BAND_VALUES = 8_000_000
"""Patch values unfolded at a time: 64 MB in float64."""
_MAX_TRANSPORTED_VALUES = 4_000_000  # latent values transported at a time: 16 MB in float32


def extract_patches(latents: Tensor, patch_size: int) -> Tensor:
    """Return all overlapping p×p patches, without padding.

    Args:
        latents: (B, c, h, w).
        patch_size: Side p of the patches, odd.

    Returns:
        (n, c·p²), values ordered (channel, row, column); n = B·(h−p+1)·(w−p+1), 0 if a side is shorter than p.
    """
    _, channels, height, width = latents.shape
    if min(height, width) < patch_size:
        return latents.new_empty(0, channels * patch_size**2)
    return F.unfold(latents, patch_size).transpose(1, 2).reshape(-1, channels * patch_size**2)


def detail_energy(patches: Tensor, patch_size: int) -> Tensor:
    """Return the mean square of patches (n, c·p²) after each channel's mean is subtracted, (n,)."""
    channels = patches.reshape(len(patches), -1, patch_size**2)
    return (channels - channels.mean(2, keepdim=True)).square().mean((1, 2))


def iter_patch_bands(latents: Tensor, patch_size: int) -> Iterator[Tensor]:
    """Yield all overlapping p×p patches of one image's latents (1, c, h, w) in bands of (n, c·p²), float64."""
    _, channels, height, width = latents.shape
    rows = max(1, MAX_BAND_VALUES // (channels * patch_size**2 * width))
    for top in range(0, height - patch_size + 1, rows):
        yield extract_patches(latents[:, :, top : top + rows + patch_size - 1].double(), patch_size)


def count_overlaps(rows: int, columns: int, patch_size: int) -> Tensor:
    """Return how many of rows × columns overlapping p×p patches cover a position, (rows + p − 1, columns + p − 1)."""

    def along_axis(patches: int) -> Tensor:
        positions = torch.arange(patches + patch_size - 1)
        return positions.clamp(max=patches - 1) - (positions - patch_size + 1).clamp(min=0) + 1

    return torch.outer(along_axis(rows), along_axis(columns))


class _Span(NamedTuple):
    """Positions along an axis that one convolution transports: [start, stop).

    Attributes:
        start: The first position.
        stop: The position after the last.
        offsets: Where the positions lie in the patches that cover them: one range of offsets for each position, or a
            single one if it is the same for all.
    """

    start: int
    stop: int
    offsets: tuple[range, ...]

    def input_range(self, patch_size: int) -> tuple[int, int]:
        """Return the half-open range of positions that these depend on."""
        last = self.stop - len(self.offsets)
        first = min(self.start + index - covered[-1] for index, covered in enumerate(self.offsets))
        return first, max(last + index + patch_size - covered[0] for index, covered in enumerate(self.offsets))

    def split(self, max_length: int) -> Iterator["_Span"]:
        """Yield spans of at most `max_length` positions; the span itself if its positions differ in their offsets."""
        if len(self.offsets) > 1:
            yield self
            return
        for start in range(self.start, self.stop, max_length):
            yield _Span(start, min(start + max_length, self.stop), self.offsets)


class PatchTransport:
    """x ↦ A x + b on every overlapping patch of replicate-padded latents, overlaps averaged (Adrai et al. 2023).

    Unfolding, mapping, folding and averaging are linear: together they are a convolution, with one kernel for all
    positions that lie at the same offsets in the patches that cover them. Away from the border these are all p×p
    offsets, and the kernel has (2p−1)×(2p−1) weights. Within p//2 of the border there are fewer, and they differ from
    position to position: the positions of an edge or a corner are channels of one convolution with a kernel for each.
    Kernels are made when they are first needed.

    Example:
        >>> import deepot, torch
        >>> operator = deepot.PatchTransport(2 * torch.eye(9), torch.ones(9), patch_size=3)
        >>> latents = torch.arange(12.0).reshape(1, 1, 3, 4)
        >>> torch.allclose(operator(latents), 2 * latents + 1, atol=1e-5)
        True
    """

    max_values = _MAX_TRANSPORTED_VALUES

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
            patch_size: Side p of the patches, odd.
            dtype: Dtype of the computation.
            device: Device of the computation.
        """
        self.patch_size = p = patch_size
        channels = len(bias) // p**2
        self._matrix = matrix.double().cpu().reshape(channels, p, p, channels, p, p)
        self._bias = bias.double().cpu().reshape(channels, p, p)
        self._dtype, self._device = dtype, device
        self._kernels: dict[tuple[tuple[range, ...], tuple[range, ...]], tuple[Tensor, Tensor]] = {}

    def __call__(self, latents: Tensor) -> Tensor:
        """Transport latents.

        Args:
            latents: (B, c, h, w) of the operator's dtype and device, any h, w ≥ 1.

        Returns:
            (B, c, h, w).
        """
        p, radius, (height, width) = self.patch_size, self.patch_size // 2, latents.shape[-2:]
        max_rows = max(1, self.max_values // (latents.shape[1] * width))
        output = torch.empty_like(latents)
        for rows, input_rows in _plan_bands(height, p, max_rows):
            strip = _pad_rows(latents, input_rows, radius)
            for columns, (left, right) in _plan_bands(width, p, width):
                kernel, bias = self._kernel_for(rows.offsets, columns.offsets)
                transported = _convolve(strip[..., left + radius : right + radius], kernel, bias)
                transported = _channels_to_space(transported, len(rows.offsets), len(columns.offsets))
                output[..., rows.start : rows.stop, columns.start : columns.stop] = transported
        return output

    def _kernel_for(self, rows: tuple[range, ...], columns: tuple[range, ...]) -> tuple[Tensor, Tensor]:
        """Return kernels and biases, as channels, of positions with these offsets in the patches that cover them."""
        key = rows, columns
        if key not in self._kernels:
            kernel, bias = self._make_kernel(rows, columns)
            self._kernels[key] = kernel.to(self._device, self._dtype), bias.to(self._device, self._dtype)
        return self._kernels[key]

    def _make_kernel(self, rows: tuple[range, ...], columns: tuple[range, ...]) -> tuple[Tensor, Tensor]:
        """Return what `_kernel_for` does, in float64."""
        p, channels = self.patch_size, len(self._bias)
        (first, bottom), (left, right) = (_Span(0, len(offsets), offsets).input_range(p) for offsets in (rows, columns))
        size = len(rows), len(columns), channels
        kernel = torch.zeros(*size, channels, bottom - first, right - left, dtype=torch.float64)
        bias = torch.zeros(*size, dtype=torch.float64)
        for (i, heights), (j, widths) in product(enumerate(rows), enumerate(columns)):
            for row, column in product(heights, widths):
                y, x = i - row - first, j - column - left
                kernel[i, j, ..., y : y + p, x : x + p] += self._matrix[:, row, column]
                bias[i, j] += self._bias[:, row, column]
            kernel[i, j] /= len(heights) * len(widths)
            bias[i, j] /= len(heights) * len(widths)
        return kernel.flatten(0, 2), bias.flatten()


def _split_axis(length: int, patch_size: int) -> Iterator[_Span]:
    """Yield the spans of an axis: its two edges and the interior, or a single span if it is shorter than two edges."""
    radius = patch_size // 2

    def edge(start: int, stop: int) -> _Span:
        outside = length - 1 - radius
        return _Span(
            start, stop, tuple(range(max(0, i - outside), min(patch_size, i + radius + 1)) for i in range(start, stop))
        )

    if length <= 2 * radius:
        yield edge(0, length)
        return
    if radius:
        yield edge(0, radius)
    yield _Span(radius, length - radius, (range(patch_size),))
    if radius:
        yield edge(length - radius, length)


@lru_cache(maxsize=256)
def _plan_bands(length: int, patch_size: int, max_length: int) -> tuple[tuple[_Span, tuple[int, int]], ...]:
    """Return the spans of an axis, none longer than `max_length` unless it is an edge, and their input ranges."""
    spans = [band for span in _split_axis(length, patch_size) for band in span.split(max_length)]
    return tuple((span, span.input_range(patch_size)) for span in spans)


def _convolve(region: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """Convolve without padding; if the output is one position, as a matrix product, which has less overhead."""
    if region.shape[2:] == kernel.shape[2:]:
        return F.linear(region.flatten(1), kernel.flatten(1), bias)[..., None, None]
    with disable_tf32(region.device, region.dtype):
        return F.conv2d(region, kernel, bias)


def _channels_to_space(transported: Tensor, rows: int, columns: int) -> Tensor:
    """Rearrange (B, rows·columns·c, h, w), neighbouring positions as channels, to (B, c, rows·h, columns·w)."""
    if rows * columns == 1:
        return transported
    images, _, height, width = transported.shape
    separated = transported.reshape(images, rows, columns, -1, height, width)
    return separated.permute(0, 3, 1, 4, 2, 5).reshape(images, -1, rows * height, columns * width)


def _pad_rows(latents: Tensor, rows: tuple[int, int], radius: int) -> Tensor:
    """Return the rows [top, bottom) of latents with `radius` more columns on each side, padded by replication."""
    (top, bottom), height = rows, latents.shape[2]
    outside = (radius, radius, max(-top, 0), max(bottom - height, 0))
    return F.pad(latents[:, :, max(top, 0) : bottom], outside, mode="replicate")
