"""The samples of a photo while it is enhanced: where they are read, and where the result is composed."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepot.inference.bands import luma_difference
from deepot.inference.host_copy import upload
from deepot.photo import ConstantAreas, Pixels

_STRIP_PIXELS = 2**18  # pixels changed at a time on the CPU, whose cache then has them
_MAX_VALUE = 255


class PhotoSamples(Protocol):
    """The samples of a photo x*, which stay as they are, and those of its result.

    `result` is what has to be copied to the photo when all is added; None if it is there already.
    """

    @property
    def result(self) -> Tensor | None:
        """The samples of the result on the device, (H, W, C), uint8."""
        ...

    def to_rgb(self, rows: slice, columns: slice, device: torch.device | str = "cpu") -> Tensor:
        """Return a region of x* as sRGB (1, 3, h, w), float32, in [0, 1]: what `Pixels.to_rgb` returns."""
        ...

    def constant_mask(self, rows: slice, columns: slice) -> Tensor | None:
        """Return which pixels of a region lie in a constant area, (h, w), on the device; None if no pixel does."""
        ...

    def add_rgb_delta(self, top: int, delta: Tensor, left: int) -> None:
        """Make the result x* plus a difference of RGB values, as `Pixels.add_rgb_delta` does."""
        ...


@dataclass(frozen=True)
class DeviceSamples:
    """Samples of 8-bit grey or sRGB without alpha, which are uploaded once; the result is composed beside them.

    Attributes:
        original: x*, (H, W, C), uint8.
        result: The result, likewise.
        constant_bits: Where x* is constant, one bit a pixel, (H, ⌈W/8⌉), uint8; None if no pixel is.
    """

    original: Tensor
    result: Tensor
    constant_bits: Tensor | None

    def to_rgb(self, rows: slice, columns: slice, device: torch.device | str = "cpu") -> Tensor:
        """Return a region of x*: `PhotoSamples.to_rgb`."""
        values = self.original[rows, columns].to(device).contiguous().float().div_(_MAX_VALUE).permute(2, 0, 1)[None]
        return values.expand(-1, 3, -1, -1)

    def constant_mask(self, rows: slice, columns: slice) -> Tensor | None:
        """Return where a region is constant: `PhotoSamples.constant_mask`."""
        if self.constant_bits is None:
            return None
        stop, first = min(columns.stop, self.original.shape[1]), columns.start // 8
        packed = self.constant_bits[rows, first : -(-stop // 8), None]
        shifts = 7 - torch.arange(8, dtype=torch.uint8, device=packed.device)
        bits = ((packed >> shifts) & 1).flatten(1).bool()
        return bits[:, columns.start - 8 * first : stop - 8 * first]

    def add_rgb_delta(self, top: int, delta: Tensor, left: int) -> None:
        """Add a difference: `PhotoSamples.add_rgb_delta`, bit for bit what `Pixels.add_rgb_delta` does."""
        rows, columns = (min(size, side) for size, side in zip(delta.shape[2:], self._room(top, left), strict=True))
        strip = max(1, _STRIP_PIXELS // max(1, columns)) if delta.device.type == "cpu" else rows
        for start in range(0, rows, strip):
            stop = min(start + strip, rows)
            change = delta[:, :, start:stop, :columns]
            if self.original.shape[2] == 1:
                change = luma_difference(change)[:, :1]
            region = slice(top + start, top + stop), slice(left, left + columns)
            if delta.device.type == "cpu":
                _add_on_host(self.original[region].numpy(), change[0].numpy(), self.result[region].numpy())
                continue
            values = self.original[region] + (change[0] * _MAX_VALUE).permute(1, 2, 0)
            self.result[region] = values.clamp_(0, _MAX_VALUE).round_().to(torch.uint8)

    def _room(self, top: int, left: int) -> tuple[int, int]:
        """Return how many rows and columns there are from a pixel on."""
        return self.original.shape[0] - top, self.original.shape[1] - left


def _add_on_host(original: NDArray[np.uint8], delta: NDArray[np.float32], result: NDArray[np.uint8]) -> None:
    """Add a difference (C, h, w) to samples (h, w, C): by NumPy, which changes the order of axes faster than PyTorch.

    What the difference makes of samples where it is not finite is not defined.
    """
    values = np.empty(original.shape, np.float32)
    for channel, plane in enumerate(delta):
        np.multiply(plane, np.float32(_MAX_VALUE), out=values[:, :, channel])
    values += original
    with np.errstate(invalid="ignore"):
        result[...] = np.rint(np.clip(values, 0, _MAX_VALUE, out=values), out=values)


@dataclass(frozen=True)
class HostSamples:
    """Samples of any other kind: each region is converted on the host, and differences are added there.

    Attributes:
        original: x*.
        pixels: The photo, whose samples become those of the result.
        areas: Where x* is constant; None if no pixel is.
        device: Where it is computed.
    """

    original: Pixels
    pixels: Pixels
    areas: ConstantAreas | None
    device: torch.device

    result = None

    def to_rgb(self, rows: slice, columns: slice, device: torch.device | str = "cpu") -> Tensor:
        """Return a region of x*: `PhotoSamples.to_rgb`."""
        return self.original.to_rgb(rows, columns, device)

    def constant_mask(self, rows: slice, columns: slice) -> Tensor | None:
        """Return where a region is constant: `PhotoSamples.constant_mask`."""
        return None if self.areas is None else torch.from_numpy(self.areas.mask(rows, columns)).to(self.device)

    def add_rgb_delta(self, top: int, delta: Tensor, left: int) -> None:
        """Add a difference: `PhotoSamples.add_rgb_delta`; 0 where it is not finite, which the caller finds out."""
        self.pixels.add_rgb_delta(top, delta.nan_to_num(0.0, 0.0, 0.0), left)


def take_samples(
    original: Pixels, pixels: Pixels, areas: ConstantAreas | None, device: torch.device
) -> DeviceSamples | HostSamples:
    """Return the samples of a photo on a device, if they can be there without loss, or on the host.

    Args:
        original: The photo x*.
        pixels: The same, whose samples become those of the result. On the CPU they do so while it is composed;
            otherwise `PhotoSamples.result` must be copied there.
        areas: Where x* is constant; None if no pixel is.
        device: Where the photo is computed.

    Example:
        >>> import numpy as np, torch
        >>> from deepot import Pixels
        >>> from deepot.inference.photo_samples import take_samples
        >>> photo = Pixels(np.full((4, 6, 3), 51, np.uint8))
        >>> result = Pixels(photo.samples.copy())
        >>> samples = take_samples(photo, result, None, torch.device("cpu"))
        >>> samples.add_rgb_delta(0, samples.to_rgb(slice(0, 4), slice(0, 6)), 0)
        >>> int(photo.samples.max()), int(result.samples.min())
        (51, 102)
    """
    is_plain = original.alpha is None and original.colour_space is None and original.samples.shape[2] in (1, 3)
    if not is_plain or original.bit_depth != 8 or min(pixels.samples.strides) < 0:
        return HostSamples(original, pixels, areas, device)
    values = upload(torch.from_numpy(np.ascontiguousarray(original.samples)), device)
    result = torch.from_numpy(pixels.samples) if device.type == "cpu" else torch.empty_like(values)
    return DeviceSamples(values, result, None if areas is None else upload(torch.from_numpy(areas.packed_bits), device))
