"""Details: ramps and areas are none, texture is; a cut changes nothing beyond its reach."""

import numpy as np
import pytest
import torch

from deepot.inference.detail_filter import REACH, coarse, details

FACTOR = 8


@pytest.fixture
def image():
    return torch.randn(1, 3, 96, 80, generator=torch.Generator().manual_seed(0))


def test_areas_and_ramps_are_coarse():
    ramp = torch.linspace(0, 1, 96)[:, None] + torch.linspace(-1, 2, 80)
    flat = torch.full((1, 3, 96, 80), 0.3)
    assert details(flat, FACTOR).abs().max() < 1e-6
    inside = (..., slice(16, -16), slice(16, -16))
    assert details((ramp + 0 * flat), FACTOR)[inside].abs().max() < 1e-5


def test_means_of_large_areas_stay_and_texture_passes(image):
    texture = torch.from_numpy(np.indices((96, 80)).sum(0) % 2 * 2.0 - 1).float().expand(1, 3, -1, -1)
    torch.testing.assert_close(details(texture, FACTOR), texture)
    assert coarse(image, FACTOR).square().mean() < 0.02
    assert details(image + 5, FACTOR).mean().abs() < 0.02


def test_it_is_linear(image):
    other = image.flip(-1)
    torch.testing.assert_close(
        details(2 * image - other, FACTOR), 2 * details(image, FACTOR) - details(other, FACTOR), rtol=0, atol=1e-5
    )


def test_a_cut_is_felt_no_further_than_its_reach(image):
    whole = details(image, FACTOR)
    for first in (0, 3):
        part = details(image[..., first * FACTOR :, :], FACTOR)
        kept = (first and first + REACH) * FACTOR
        torch.testing.assert_close(part[..., kept - first * FACTOR :, :], whole[..., kept:, :], rtol=0, atol=1e-6)
    changed = details(image[..., 3 * FACTOR :, :], FACTOR)[..., : REACH * FACTOR, :]
    assert (changed - whole[..., 3 * FACTOR : (3 + REACH) * FACTOR, :]).abs().max() > 1e-3
