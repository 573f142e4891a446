"""The log-spectral distance: 0 for equal spectra, in dB for scaled ones, and finite for constant and small images."""

import numpy as np
import pytest
import torch

from deepot.evaluation.power_spectrum import log_spectral_distance, radial_power_spectrum
from deepot.inference.calibration import degrade_photo
from deepot.photo.pixels import Pixels
from deepot.restoration.degradations import load_degradation
from tests.support.photos import make_photo


def grey(array):
    return torch.from_numpy(array / 255)[None, None].expand(1, 3, -1, -1)


def noise(strength, side=256, seed=0):
    return 128 + np.random.default_rng(seed).normal(0, strength, (side, side))


def test_spectrum_of_white_noise_is_its_variance_in_every_band():
    found = radial_power_spectrum(grey(noise(10)))
    assert found.shape == (32,)
    assert (found[2:] - 20).abs().max() < 1.5
    assert float(found.median()) == pytest.approx(20, abs=0.2)


def test_distance_of_equal_images_is_zero_and_of_twice_the_contrast_is_six_db():
    image = noise(10)
    assert log_spectral_distance(grey(image), grey(image)) == 0
    assert log_spectral_distance(grey(128 + 2 * (image - 128)), grey(image)) == pytest.approx(6.02, abs=0.02)
    assert log_spectral_distance(grey(noise(10, seed=1)), grey(image)) < 1
    assert log_spectral_distance(grey(np.roll(image, 40, 1)), grey(image)) < 1


@pytest.mark.parametrize("degradations", [["blur:sigma=0.7", "blur:sigma=1", "blur:sigma=2"],
                                          ["noise:sigma=10", "noise:sigma=25", "noise:sigma=50"]])  # fmt: skip
def test_distance_grows_with_the_degradation(degradations):
    photo = Pixels.from_image(make_photo(3, 96, 80))
    found = [
        log_spectral_distance(
            degrade_photo(photo, load_degradation(degradation), np.random.default_rng(0)).to_rgb(), photo.to_rgb()
        )
        for degradation in degradations
    ]
    assert 0 < found[0] < found[1] < found[2]


@pytest.mark.parametrize("size", [(16, 16), (16, 61), (1024, 16)])
def test_distance_of_constant_and_of_small_images_is_finite(size):
    blank = torch.full((1, 3, *size), 0.5)
    assert log_spectral_distance(blank, blank) == 0
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    assert 10 < log_spectral_distance(image, blank) < 100
