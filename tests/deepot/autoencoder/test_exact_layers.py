"""Exact layers: convolutions are sums of integers without rounding, and all layers do what their float32 twins do."""

import pytest
import torch
import torch.nn.functional as F

from deepot.autoencoder import exact_layers
from deepot.autoencoder.exact_layers import (
    MAX_EXACT_SUM,
    ExactChannelAverage,
    ExactConv2d,
    ExactRMSNorm,
    ExactSiLU,
)
from deepot.autoencoder.residual_blocks import ChannelAverage, RMSNorm


def make_conv(generator, *, channels=128, outputs=16, largest=127, input_range=8.0):
    levels = torch.randint(-largest, largest + 1, (outputs, channels, 3, 3), generator=generator)
    scale = torch.rand(outputs, generator=generator) / (largest * channels)
    return ExactConv2d(levels, scale, torch.randn(outputs, generator=generator), input_range)


@pytest.mark.parametrize(("channels", "largest"), [(3, 127), (64, 31), (128, 31), (128, 127), (512, 127)])
def test_convolution_of_the_largest_digits_is_exact(channels, largest, generator):
    conv = make_conv(generator, channels=channels, largest=largest)
    half = conv.base // 2
    worst = conv.levels[0].sign() * half  # all products of the first output channel have one sign
    others = torch.randint(-half, half + 1, (1, channels, 3, 3), generator=generator).float()
    digits = torch.cat([worst[None], others]).repeat(1, 1, 5, 7)
    found = conv.convolve(digits)
    expected = F.unfold(digits.double(), 3, padding=(0, 1)).long()
    expected = conv.levels.flatten(1).long() @ expected
    assert torch.equal(found.flatten(2).long(), expected)
    assert half * largest < int(found.abs().max()) <= MAX_EXACT_SUM


def test_convolution_rounds_its_input_to_steps_and_nothing_else(generator):
    conv = make_conv(generator)
    values = torch.randn(1, 128, 9, 11, generator=generator)
    steps = (values / conv.step).round().double()
    expected = F.conv2d(steps, conv.levels.double(), padding=1) * conv.scale.double() + conv.bias.double()
    torch.testing.assert_close(conv(values).double(), expected, rtol=1e-6, atol=1e-6)
    plain = F.conv2d(values.double(), conv.levels.double() * conv.scale.double()[:, None] / conv.step, padding=1)
    torch.testing.assert_close(conv(values).double(), plain + conv.bias.double(), rtol=0, atol=20 * conv.step)


def test_convolution_clamps_inputs_beyond_its_range(generator):
    conv = make_conv(generator, input_range=1.0)
    inside, outside = (torch.full((1, 128, 4, 4), value) for value in (1.0, 50.0))
    assert torch.equal(conv(inside), conv(outside))
    assert not torch.equal(conv(0.9 * inside), conv(inside))


def test_convolution_has_the_same_bits_in_bands_crops_and_batches(generator, monkeypatch):
    conv = make_conv(generator)
    values = torch.randn(2, 128, 19, 23, generator=generator)
    expected = conv(values)
    assert torch.equal(conv(values[:, :, 3:14, 5:]), expected[:, :, 3:14, 5:]) is False  # zeros beyond the crop's edges
    assert torch.equal(conv(values[:, :, 3:14, 5:])[:, :, 1:-1, 1:], expected[:, :, 4:13, 6:])
    assert torch.equal(conv(values[1:]), expected[1:])
    monkeypatch.setattr(exact_layers, "_BAND_VALUES", 128 * 23 * 4)
    assert torch.equal(conv(values), expected)


def test_convolution_whose_integers_are_too_large_is_refused():
    with pytest.raises(ValueError, match="add up to 18000000"):
        ExactConv2d(torch.full((1, 2, 3, 3), 1_000_000), torch.ones(1), None, 1.0)


def test_silu_is_that_of_pytorch_to_a_millionth():
    values = torch.linspace(-200, 200, 400_001).reshape(1, 1, 1, -1)
    difference = (ExactSiLU()(values.clone()) - F.silu(values.double())).abs()
    assert float((difference / values.abs().clamp(min=1e-3)).max()) < 1.5e-6


@pytest.mark.parametrize("width", [64, 96, 128])
def test_norm_is_that_of_the_network(width, generator):
    norm = RMSNorm(width)
    torch.nn.init.normal_(norm.weight, generator=generator)
    torch.nn.init.normal_(norm.bias, generator=generator)
    values = 30 * torch.randn(2, 5, 7, width, generator=generator)
    torch.testing.assert_close(ExactRMSNorm(norm.weight, norm.bias)(values), norm(values))


def test_channel_average_is_that_of_the_network(generator):
    values = torch.randn(2, 96, 5, 7, generator=generator)
    torch.testing.assert_close(ExactChannelAverage(32)(values), ChannelAverage(32)(values))
