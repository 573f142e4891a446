"""The layers of the embedded autoencoder with results that have the same bits on every processor.

A convolution adds hundreds of products, and libraries choose the order of the sum, and how products are rounded, by the
instructions of the processor. Here all factors are integers, stored in float32, and so small that no partial sum
exceeds 2²⁴. Up to there float32 is exact, so the order does not matter. The kernels are stored as integers anyway. The
inputs are rounded to multiples of a step and split into two digits, each of which is convolved.

Everything else is single operations on elements, which IEEE 754 defines to the last bit, and sums in a fixed order.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepot.autoencoder.banded_norm import MAX_BAND_VALUES
from deepot.fixed_order import square_root, sum_in_order

MAX_EXACT_SUM = 2**24
"""Integers up to here are exact in float32."""
_MAX_BASE = 4096  # two digits to this base are an integer that float32 holds
_BAND_VALUES = 1_000_000  # input values convolved at a time: 8 MB as two digits
_MAX_ARGUMENT = 7.0  # of tanh, from where on it differs from ±1 by less than 2e-6
_NUMERATOR = (3.93003940e-06, 2.27699530e-03, 1.23021906e-01, 9.99995688e-01)
_DENOMINATOR = (1.42351501e-04, 2.10722108e-02, 4.56340392e-01, 1.0)
"""tanh(t) ≈ t P(t²) / Q(t²), highest powers first: least maximal error for |t| up to `_MAX_ARGUMENT`, 9e-7."""


class ExactConv2d(nn.Module):
    """A 3 × 3 convolution with zeros beyond the edges, of integers.

    Attributes:
        base: Base of the two digits of an input, a power of two.
        step: Step that inputs are rounded to; those beyond ± `base`² / 2 steps are clamped.
    """

    def __init__(self, levels: Tensor, scale: Tensor, bias: Tensor | None, input_range: float) -> None:
        """Choose the base and the step.

        Args:
            levels: The kernel in integers, (O, C, 3, 3).
            scale: The step of each output channel of the kernel, (O,).
            bias: (O,), or None.
            input_range: What no input is expected to exceed, a power of two.

        Raises:
            ValueError: The kernel has too many or too large integers.
        """
        super().__init__()
        row_sum = int(levels.abs().long().flatten(1).sum(1).max())
        self.base = _MAX_BASE
        while row_sum * self.base // 2 > MAX_EXACT_SUM:
            self.base //= 2
        if self.base < 2:
            raise ValueError(f"the integers of a kernel add up to {row_sum}, more than {MAX_EXACT_SUM}")
        self.step = input_range / (self.base**2 / 2)
        self.levels = levels.float().contiguous(memory_format=torch.channels_last)
        self.scale = (scale.double() * self.step).float()[:, None, None]
        self.bias = None if bias is None else bias.float()[:, None, None]

    def forward(self, values: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, O, h, w)."""
        batch, channels, height, width = values.shape
        output = values.new_empty(batch, height, width, len(self.levels)).permute(0, 3, 1, 2)
        rows = max(1, _BAND_VALUES // (channels * width))
        for image, result in zip(values.permute(0, 2, 3, 1), output, strict=True):
            for top in range(0, height, rows):
                bottom = min(top + rows, height)
                digits = self._split_digits(image, top - 1, bottom + 1)
                self._combine_digits(self.convolve(digits), result[:, top:bottom])
        return output

    def convolve(self, digits: Tensor) -> Tensor:
        """Convolve integers (2, C, h, w) of at most `base` / 2, exactly; returns (2, O, h − 2, w)."""
        return F.conv2d(digits, self.levels, padding=(0, 1))

    def _split_digits(self, image: Tensor, top: int, bottom: int) -> Tensor:
        """Return both digits of rows of an image (h, w, C), high and low, (2, C, bottom − top, w), zero beyond it."""
        height, width, channels = image.shape
        digits = image.new_zeros(2, bottom - top, width, channels)
        first, last = max(top, 0), min(bottom, height)
        high, low = digits[:, first - top : last - top]
        limit = (self.base // 2 - 1) * self.base
        steps = (image[first:last] * (1 / self.step)).round_().clamp_(-limit, limit)
        torch.mul(steps, 1 / self.base, out=high).round_()
        torch.sub(steps, high * self.base, out=low)
        return digits.permute(0, 3, 1, 2)

    def _combine_digits(self, convolved: Tensor, result: Tensor) -> None:
        """Write the convolved digits (2, O, h, w) to a result (O, h, w) in the units of the layer."""
        high, low = convolved
        torch.add(high.mul_(self.base), low, out=result)
        result.mul_(self.scale)
        if self.bias is not None:
            result.add_(self.bias)


class ExactSiLU(nn.Module):
    """x ↦ x / (1 + exp(−x)) from sums and products, off by at most 1e-6 · |x|."""

    def forward(self, values: Tensor) -> Tensor:
        """Map (B, C, h, w) to the same shape; values in channels-last layout are changed in place."""
        output = values.permute(0, 2, 3, 1).contiguous()
        for band in torch.split(output.view(-1), MAX_BAND_VALUES):
            half = band * 0.5
            argument = half.clamp(-_MAX_ARGUMENT, _MAX_ARGUMENT)
            square = argument * argument
            tanh = _polynomial(_NUMERATOR, square).mul_(argument).div_(_polynomial(_DENOMINATOR, square))
            torch.mul(tanh.add_(1.0), half, out=band)
        return output.permute(0, 3, 1, 2)


class ExactRMSNorm(nn.Module):
    """`RMSNorm` with a sum in a fixed order."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias

    def forward(self, values: Tensor) -> Tensor:
        """Map (…, C) to the same shape."""
        mean_square = sum_in_order(values * values, -1) / values.shape[-1]
        output = values / square_root(mean_square.add_(1e-5))[..., None]
        return output.mul_(self.weight).add_(self.bias)


class ExactChannelAverage(nn.Module):
    """`ChannelAverage` with a sum in a fixed order."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, values: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, channels, h, w)."""
        groups = torch.unflatten(values, 1, (self.channels, -1))
        return sum_in_order(groups, 2) / groups.shape[2]


def _polynomial(coefficients: tuple[float, ...], values: Tensor) -> Tensor:
    """Return a polynomial of values by Horner's rule, coefficients of the highest powers first."""
    first, *others, last = coefficients
    result = values * first
    for coefficient in others:
        result.add_(coefficient).mul_(values)
    return result.add_(last)
