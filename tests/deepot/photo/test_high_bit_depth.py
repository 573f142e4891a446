"""16 bits stay 16 bits: the 8-bit eyes of a network leave no bands."""

import numpy as np
import pytest
import torch

from deepot.autoencoder.autoencoder import as_autoencoder
from deepot.errors import UnsupportedImageError
from deepot.inference.enhancer import Enhancer
from deepot.inference.modes import TransportMode
from deepot.photo.pixels import Pixels
from tests.deepot.inference.test_enhancer import fitted
from tests.support import fake_autoencoders as codecs
from tests.support.icc_profiles import ADOBE_RGB, GREY_18


@pytest.fixture(scope="module")
def codec():
    return as_autoencoder(codecs.smooth(), "smooth", dtype=torch.float32, device="cpu")


@pytest.mark.parametrize(("channels", "profile"), [(1, None), (3, None), (3, ADOBE_RGB), (1, GREY_18)])
def test_a_flat_gradient_stays_free_of_bands(codec, channels, profile):
    """The gradient rises by four 8-bit steps over 256 pixels. A linear network makes one of it again, pair by pair.

    A band would be a step of 257 of 65,535 once in 64 pixels.
    """
    ramp = (30000 + 4 * np.arange(256)).astype(np.uint16)
    pixels = Pixels.from_array(np.tile(ramp[None, :, None], (32, 1, channels)), profile, alpha=False)
    assert (pixels.colour_space is None) == (profile is None)
    Enhancer(codec, fitted(codec), mode=TransportMode.RESIDUAL).enhance(pixels)
    rows = pixels.samples[12:20, 20:-20].astype(int)
    change = rows - ramp[None, 20:-20, None]
    assert np.abs(change).max() > 20, "the network did something"
    steps = (rows[:, 2:] - rows[:, :-2]).reshape(-1, 107, 2, channels)
    assert np.abs(steps - np.median(steps, axis=1, keepdims=True)).max() <= 4


def test_pillow_is_not_given_what_it_would_cut():
    for shape in ((4, 5, 3), (4, 5, 4)):
        with pytest.raises(UnsupportedImageError, match="Pillow has no mode"):
            Pixels(np.zeros(shape, np.uint16)).to_image()
    with pytest.raises(UnsupportedImageError, match="and alpha"):
        Pixels(np.zeros((4, 5, 1), np.uint16), np.zeros((4, 5), np.uint16)).to_image()


def test_a_16_bit_photo_and_its_8_bit_twin_get_the_same_change(codec):
    generator = np.random.default_rng(0)
    eight = generator.integers(60, 196, (64, 64, 3), dtype=np.uint8)
    small, deep = Pixels(eight.copy()), Pixels(eight.astype(np.uint16) * 257)
    enhancer = Enhancer(codec, fitted(codec))
    enhancer.enhance(small)
    enhancer.enhance(deep)
    assert np.abs(deep.samples / 257 - small.samples).max() <= 0.51
    assert deep.samples.dtype == np.uint16
    assert not torch.equal(deep.to_rgb(), Pixels(eight).to_rgb())
