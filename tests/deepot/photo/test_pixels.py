"""16-bit photos stay 16-bit photos, without bands from 8-bit steps."""

import numpy as np
import pytest
import torch

from deepot.autoencoder import as_autoencoder
from deepot.errors import UnsupportedImageError
from deepot.inference.enhancer import Enhancer
from deepot.inference.modes import TransportMode
from deepot.photo.pixels import Pixels
from tests.deepot.inference.test_enhancer import fit
from tests.support import fake_autoencoders
from tests.support.icc_profiles import ADOBE_RGB, GREY_18


@pytest.fixture(scope="module")
def autoencoder():
    return as_autoencoder(fake_autoencoders.smooth(), "smooth", dtype=torch.float32, device="cpu")


@pytest.mark.parametrize(("channels", "profile"), [(1, None), (3, None), (3, ADOBE_RGB), (1, GREY_18)])
def test_enhance_16_bit_gradient_has_no_bands(autoencoder, channels, profile):
    """The gradient rises by four 8-bit steps over 256 pixels, and the linear network turns it into another gradient.

    A band would be a step of 257 (of 65,535) every 64 pixels. Steps are compared for every second pixel, because the
    network treats even and odd columns differently.
    """
    ramp = (30000 + 4 * np.arange(256)).astype(np.uint16)
    pixels = Pixels.from_array(np.tile(ramp[None, :, None], (32, 1, channels)), profile, alpha=False)
    assert (pixels.colour_space is None) == (profile is None)
    Enhancer(autoencoder, fit(autoencoder), alpha=-1, mode=TransportMode.RESIDUAL).enhance(pixels)
    rows = pixels.samples[12:20, 20:-20].astype(int)
    change = rows - ramp[None, 20:-20, None]
    assert np.abs(change).max() > 20, "the enhancer must change the gradient"
    steps = (rows[:, 2:] - rows[:, :-2]).reshape(-1, 107, 2, channels)
    assert np.abs(steps - np.median(steps, axis=1, keepdims=True)).max() <= 4


def test_to_image_of_samples_that_pillow_has_no_mode_for_is_refused():
    for shape in ((4, 5, 3), (4, 5, 4)):
        with pytest.raises(UnsupportedImageError, match="Pillow has no mode"):
            Pixels(np.zeros(shape, np.uint16)).to_image()
    with pytest.raises(UnsupportedImageError, match="and alpha"):
        Pixels(np.zeros((4, 5, 1), np.uint16), np.zeros((4, 5), np.uint16)).to_image()


def test_enhance_changes_a_photo_alike_in_8_and_16_bits(autoencoder):
    generator = np.random.default_rng(0)
    eight = generator.integers(60, 196, (64, 64, 3), dtype=np.uint8)
    small, deep = Pixels(eight.copy()), Pixels(eight.astype(np.uint16) * 257)
    enhancer = Enhancer(autoencoder, fit(autoencoder))
    enhancer.enhance(small)
    enhancer.enhance(deep)
    assert np.abs(deep.samples / 257 - small.samples).max() <= 0.51
    assert deep.samples.dtype == np.uint16
    assert not torch.equal(deep.to_rgb(), Pixels(eight).to_rgb())


def test_crop_centre_is_the_middle_with_its_transparency():
    samples = np.arange(7 * 4 * 3, dtype=np.uint16).reshape(7, 4, 3)
    alpha = np.arange(28, dtype=np.uint16).reshape(7, 4)
    cropped = Pixels(samples, alpha).crop_centre(4)
    assert np.array_equal(cropped.samples, samples[1:5]) and np.array_equal(cropped.alpha, alpha[1:5])
    cropped.samples[:] = 0
    assert samples[1:5].any(), "a copy"
    assert np.array_equal(Pixels(samples).crop_centre(9).samples, samples)
