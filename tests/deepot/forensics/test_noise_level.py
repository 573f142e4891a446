"""Noise, found in the flattest blocks."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from deepot.forensics.noise_level import estimate_noise
from tests.support.synthetic_photos import degrade, make_dead_leaves, to_channels


@pytest.fixture(scope="module")
def photo():
    return make_dead_leaves(4)


@pytest.mark.parametrize("sigma", [3, 10, 30, 60])
def test_estimate_noise_finds_white_noise_in_the_colours(photo, sigma):
    colour = estimate_noise(to_channels(degrade(photo, f"noise:sigma={sigma}"))).colour
    assert colour.white_sigma == pytest.approx(sigma, rel=0.1)
    assert colour.whiteness > 0.4


@pytest.mark.parametrize("sigma", [10, 30])
def test_estimate_noise_finds_white_noise_in_grey_photos(photo, sigma):
    found = estimate_noise(to_channels(degrade(photo.convert("L"), f"noise:sigma={sigma}")))
    assert found.colour is None
    assert found.luma.white_sigma == pytest.approx(sigma, rel=0.1)


def test_estimate_noise_sees_that_noise_is_correlated(photo):
    noise = gaussian_filter(np.random.default_rng(0).standard_normal((3, 256, 320)), (0, 1, 1))
    noisy = to_channels(photo) + np.float32(20 * noise / noise.std())
    colour = estimate_noise(noisy).colour
    assert colour.whiteness < 0.1
    assert colour.unbiased_total_sigma == pytest.approx(20, rel=0.2)


def test_estimate_noise_leaves_out_blocks_that_the_noise_clips():
    rng = np.random.default_rng(1)
    dark_half = np.repeat([[4.0] * 128 + [120.0] * 128], 256, axis=0)
    noisy = np.float32(dark_half + rng.normal(0, 20, (3, 256, 256))).clip(0, 255)
    assert estimate_noise(noisy).colour.white_sigma == pytest.approx(20, rel=0.05)


def test_estimate_noise_of_a_clean_photo_is_small(photo):
    found = estimate_noise(to_channels(photo))
    assert found.luma.white_sigma < 3
    assert found.colour.white_sigma < 1


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 15, 15), (3, 64, 64), (1, 200, 200)])
def test_estimate_noise_of_small_and_uniform_photos_is_none(shape):
    assert estimate_noise(np.full(shape, 99, np.float32)) is None
