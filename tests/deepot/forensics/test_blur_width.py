"""Blur, found in the radial spectrum."""

import numpy as np
import pytest

from deepot.forensics.blur_width import fit_spectral_blur
from tests.support.synthetic_photos import degrade, encode_jpeg, make_dead_leaves, read_jpeg, to_channels


def luma(image):
    return to_channels(image.convert("L"))[0]


@pytest.fixture(scope="module")
def photo():
    return make_dead_leaves(6)


@pytest.mark.parametrize("sigma", [1, 2, 3.5])
def test_fit_spectral_blur_finds_the_width(photo, sigma):
    assert fit_spectral_blur(luma(degrade(photo, f"blur:sigma={sigma}"))) == pytest.approx(1.11 * sigma, rel=0.2)


def test_fit_spectral_blur_of_a_sharp_photo_is_small(photo):
    assert fit_spectral_blur(luma(photo)) < 0.6


def test_fit_spectral_blur_ignores_what_jpeg_adds(photo):
    pixels, _ = read_jpeg(encode_jpeg(degrade(photo.convert("L"), "blur:sigma=2"), 92))
    assert fit_spectral_blur(np.float32(pixels.samples[:, :, 0]), is_jpeg=True) == pytest.approx(2.2, rel=0.2)


@pytest.mark.parametrize("shape", [(1, 1), (63, 300), (64, 64), (300, 300)])
def test_fit_spectral_blur_of_small_and_uniform_photos_is_none(shape):
    assert fit_spectral_blur(np.full(shape, 99, np.float32)) is None
