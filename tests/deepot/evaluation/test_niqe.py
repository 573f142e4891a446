"""NIQE: fits of known distributions, the order of degradations, and images that have none."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import gennorm

from deepot.evaluation.niqe import (
    N_FEATURES,
    compute_niqe_features,
    compute_niqe_moments,
    fit_asymmetric_gaussian,
    niqe_distance,
)
from deepot.inference.calibration import degrade_photo
from deepot.photo.pixels import Pixels
from deepot.restoration.degradations import load_degradation
from deepot.transport.merging import merge_in_order
from deepot.transport.moments import Moments
from tests.support.photos import make_photo


@pytest.mark.parametrize("shape", [0.6, 1.0, 2.0, 4.0])
def test_fit_finds_the_shape_and_the_scales_of_a_sample(shape):
    sample = gennorm.rvs(shape, size=200_000, random_state=0)
    negative = np.random.default_rng(1).random(len(sample)) < 2 / 5  # a side has the weight of its scale
    values = np.where(negative, -2 * np.abs(sample), 3 * np.abs(sample))
    found, left, right = fit_asymmetric_gaussian(values[None])
    assert found[0] == pytest.approx(shape, rel=0.03)
    assert (left[0], right[0]) == (pytest.approx(2, rel=0.03), pytest.approx(3, rel=0.03))


def photo(seed):
    return Pixels.from_image(make_photo(seed, 400, 300))


@pytest.fixture(scope="module")
def natural():
    return merge_in_order([compute_niqe_moments(photo(seed).to_rgb())[1] for seed in range(8)])


@pytest.mark.parametrize("degradation", ["blur:sigma=1", "blur:sigma=3", "jpeg:quality=10", "noise:sigma=50"])
def test_niqe_of_a_clean_photo_is_below_that_of_a_degraded_one(natural, degradation):
    assert natural.count > N_FEATURES
    clean = photo(20)
    degraded = degrade_photo(clean, load_degradation(degradation), np.random.default_rng(0))
    values = [niqe_distance(compute_niqe_moments(each.to_rgb())[0], natural) for each in (clean, degraded)]
    assert 0 < values[0] < values[1]


def test_niqe_of_the_natural_patches_themselves_is_zero(natural):
    assert niqe_distance(natural, natural) == 0


def test_features_of_a_constant_photo_are_finite_and_its_niqe_is_large(natural):
    features, sharpness = compute_niqe_features(torch.full((1, 3, 200, 300), 0.5))
    assert features.shape == (6, N_FEATURES)
    assert np.isfinite(features).all()
    assert sharpness.max() < 1e-3
    every, sharp = compute_niqe_moments(torch.full((1, 3, 200, 300), 0.5))
    assert math.isfinite(niqe_distance(every, natural))
    assert niqe_distance(every, natural) > 10 * niqe_distance(compute_niqe_moments(photo(20).to_rgb())[0], natural)
    assert sharp.count <= 6


def test_niqe_without_enough_patches_is_not_a_number(natural):
    small = compute_niqe_moments(torch.rand(1, 3, 100, 100))[0]
    assert small.count == 1
    assert math.isnan(niqe_distance(small, natural))
    assert compute_niqe_moments(torch.rand(1, 3, 16, 200))[0].count == 0
    few = Moments.from_patches(torch.randn(N_FEATURES, N_FEATURES))
    assert math.isnan(niqe_distance(natural, few))
