"""The likelihood of patches against PyTorch's Gaussian."""

import math

import pytest
import torch

import deepot
from deepot.photo.pixels import Pixels
from deepot.transport.patch_nll import PatchNll
from deepot.transport.patch_operator import extract_patches
from tests.support.photos import make_photo


@pytest.fixture(scope="module")
def photo():
    return make_photo(0, 160, 120)


def test_patch_nll_equals_the_gaussian_log_likelihood(smooth_autoencoder, sharpening_map, photo):
    latents = smooth_autoencoder.encode(Pixels.from_image(photo).to_rgb())
    patches = extract_patches(latents, 3).double()
    mean, covariance = sharpening_map.reference
    covariance = covariance + 1e-12 * torch.eye(len(mean)).double() * covariance.trace()
    exact = torch.distributions.MultivariateNormal(mean, covariance).log_prob(patches).mean() / -len(mean)
    assert PatchNll(sharpening_map.reference, 3)(latents) == pytest.approx(float(exact), rel=1e-3)


def test_patch_nll_of_the_reference_itself_is_the_expected_one(smooth_autoencoder, photo):
    pixels = Pixels.from_image(photo)
    nll = PatchNll(deepot.photo_moments(smooth_autoencoder, pixels, 3).gaussian(), 3)
    assert nll(smooth_autoencoder.encode(pixels.to_rgb())) == pytest.approx(nll.expected, abs=1e-3)
    smooth = Pixels.from_image(photo.resize((40, 30)).resize((160, 120)))
    assert nll(smooth_autoencoder.encode(smooth.to_rgb())) < nll.expected


def test_patch_nll_in_bands_equals_at_once(smooth_autoencoder, sharpening_map, photo, monkeypatch):
    latents, nll = smooth_autoencoder.encode(Pixels.from_image(photo).to_rgb()), PatchNll(sharpening_map.reference, 3)
    at_once = nll(latents)
    monkeypatch.setattr("deepot.transport.patch_nll._MAX_BAND_VALUES", 36 * 80 * 3)
    assert nll(latents) == pytest.approx(at_once, rel=1e-6)


def test_patch_nll_of_latents_smaller_than_a_patch_is_nan(sharpening_map):
    assert math.isnan(PatchNll(sharpening_map.reference, 3)(torch.zeros(1, 4, 2, 9)))
