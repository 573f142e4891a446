"""Areas and ramps are coarse, texture is detail, and a cut changes nothing beyond the filter's radius."""

import numpy as np
import pytest
import torch

from deepot.inference.detail_filter import FILTER_RADIUS, high_pass, low_pass

FACTOR = 8


@pytest.fixture
def image():
    return torch.randn(1, 3, 96, 80, generator=torch.Generator().manual_seed(0))


def test_high_pass_of_areas_and_ramps_is_zero():
    ramp = torch.linspace(0, 1, 96)[:, None] + torch.linspace(-1, 2, 80)
    flat = torch.full((1, 3, 96, 80), 0.3)
    assert high_pass(flat, FACTOR).abs().max() < 1e-6
    inside = (..., slice(16, -16), slice(16, -16))
    assert high_pass((ramp + 0 * flat), FACTOR)[inside].abs().max() < 1e-5


def test_high_pass_keeps_texture_and_removes_means(image):
    texture = torch.from_numpy(np.indices((96, 80)).sum(0) % 2 * 2.0 - 1).float().expand(1, 3, -1, -1)
    torch.testing.assert_close(high_pass(texture, FACTOR), texture)
    assert low_pass(image, FACTOR).square().mean() < 0.02
    assert high_pass(image + 5, FACTOR).mean().abs() < 0.02


def test_high_pass_is_linear(image):
    other = image.flip(-1)
    torch.testing.assert_close(
        high_pass(2 * image - other, FACTOR), 2 * high_pass(image, FACTOR) - high_pass(other, FACTOR), rtol=0, atol=1e-5
    )


def test_high_pass_of_a_crop_differs_only_within_the_radius(image):
    expected = high_pass(image, FACTOR)
    for first in (0, 3):
        part = high_pass(image[..., first * FACTOR :, :], FACTOR)
        kept = (first and first + FILTER_RADIUS) * FACTOR
        torch.testing.assert_close(part[..., kept - first * FACTOR :, :], expected[..., kept:, :], rtol=0, atol=1e-6)
    changed = high_pass(image[..., 3 * FACTOR :, :], FACTOR)[..., : FILTER_RADIUS * FACTOR, :]
    assert (changed - expected[..., 3 * FACTOR : (3 + FILTER_RADIUS) * FACTOR, :]).abs().max() > 1e-3
