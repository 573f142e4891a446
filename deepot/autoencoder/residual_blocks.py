"""Encoder and decoder of DC-AE (Chen et al., ICLR 2025) with residual blocks only, all of whose operations are local.

Names of parameters are those of diffusers' AutoencoderDC, and so are the results, bit by bit.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Encoder(nn.Module):
    """Encoder of images with blocks[i] residual blocks of widths[i] channels at factor 2^i, none at factor 1."""

    def __init__(self, widths: Sequence[int], blocks: Sequence[int], channels: int) -> None:
        super().__init__()
        self.conv_in = nn.Sequential(OrderedDict(conv=_conv(3, widths[1] // 4), shuffle=nn.PixelUnshuffle(2)))
        stages = _make_stages(widths, blocks)
        for stage, width, next_width in zip(stages[1:-1], widths[1:-1], widths[2:], strict=True):
            stage.append(Downsampling(width, next_width))
        self.down_blocks = nn.ModuleList(nn.Sequential(*stage) for stage in stages)
        self.conv_out = _conv(widths[-1], channels)
        self.average = ChannelAverage(channels)

    def forward(self, images: Tensor) -> Tensor:
        """Encode images (B, 3, H, W) in [-1, 1] to latents (B, c, h, w)."""
        values = self.conv_in(images)
        for stage in self.down_blocks:
            values = stage(values)
        latents: Tensor = self.conv_out(values)
        averages: Tensor = self.average(values)
        return latents + averages


class Decoder(nn.Module):
    """Decoder of latents with blocks[i] residual blocks of widths[i] channels at factor 2^i, none at factor 1."""

    def __init__(self, widths: Sequence[int], blocks: Sequence[int], channels: int) -> None:
        super().__init__()
        self.conv_in = _conv(channels, widths[-1])
        stages = _make_stages(widths, blocks)
        for stage, width, previous_width in zip(stages[1:-1], widths[1:-1], widths[2:], strict=True):
            stage.insert(0, Upsampling(previous_width, width))
        self.up_blocks = nn.ModuleList(nn.Sequential(*stage) for stage in stages)
        self.norm_out = RMSNorm(widths[1])
        self.conv_out = nn.Sequential(OrderedDict(conv=_conv(widths[1], 3 * 4), shuffle=nn.PixelShuffle(2)))

    def forward(self, latents: Tensor) -> Tensor:
        """Decode latents (B, c, h, w) to images (B, 3, H, W), roughly in [-1, 1]."""
        values: Tensor = self.conv_in(latents)
        values = values + _repeat_channels(latents, values.shape[1])
        for stage in reversed(self.up_blocks):
            values = stage(values)
        images: Tensor = self.conv_out(F.relu(_normalise(self.norm_out, values)))
        return images


class ResBlock(nn.Module):
    """Two 3 × 3 convolutions and a norm, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = _conv(width, width), _conv(width, width, bias=False)
        self.activation = nn.SiLU()
        self.norm = RMSNorm(width)

    def forward(self, values: Tensor) -> Tensor:
        """Map (B, C, h, w) to the same shape."""
        return _normalise(self.norm, self.conv2(self.activation(self.conv1(values)))) + values


class Downsampling(nn.Module):
    """A convolution and pixel unshuffling, added to the input with averaged channels (residual autoencoding)."""

    def __init__(self, width: int, next_width: int) -> None:
        super().__init__()
        self.conv = _conv(width, next_width // 4)
        self.average = ChannelAverage(next_width)

    def forward(self, values: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, C', h/2, w/2)."""
        averages: Tensor = self.average(F.pixel_unshuffle(values, 2))
        return F.pixel_unshuffle(self.conv(values), 2) + averages


class Upsampling(nn.Module):
    """A convolution, added to the input with repeated channels (residual autoencoding), and pixel shuffling."""

    def __init__(self, width: int, next_width: int) -> None:
        super().__init__()
        self.conv = _conv(width, next_width * 4)

    def forward(self, values: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, C', 2h, 2w)."""
        output: Tensor = self.conv(values)
        return F.pixel_shuffle(output + _repeat_channels(values, output.shape[1]), 2)


class RMSNorm(nn.Module):
    """Divides the channels of each position by their root mean square (Zhang and Sennrich, NeurIPS 2019)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, values: Tensor) -> Tensor:
        """Map (…, C) to the same shape; the statistics are computed in float32."""
        mean_square = values.float().pow(2).mean(-1, keepdim=True)
        return (values * torch.rsqrt(mean_square + 1e-5)).to(self.weight.dtype) * self.weight + self.bias


class ChannelAverage(nn.Module):
    """Averages neighbouring channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, values: Tensor) -> Tensor:
        """Map (B, C, h, w) to (B, channels, h, w)."""
        return torch.unflatten(values, 1, (self.channels, -1)).mean(2)


def _conv(width: int, next_width: int, *, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(width, next_width, 3, padding=1, bias=bias)


def _make_stages(widths: Sequence[int], blocks: Sequence[int]) -> list[list[nn.Module]]:
    return [[ResBlock(width) for _ in range(n)] for width, n in zip(widths, blocks, strict=True)]


def _normalise(norm: nn.Module, values: Tensor) -> Tensor:
    """Normalise (B, C, h, w) over C."""
    output: Tensor = norm(values.movedim(1, -1))
    return output.movedim(-1, 1)


def _repeat_channels(values: Tensor, channels: int) -> Tensor:
    return values.repeat_interleave(channels // values.shape[1], 1)
