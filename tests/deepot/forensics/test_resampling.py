"""Enlargements, found by the periods of interpolation."""

import numpy as np
import pytest
from PIL import Image

from deepot.forensics.resampling import find_enlargement
from tests.support.synthetic_photos import degrade, enlarge, make_dead_leaves, to_channels


def luma(image):
    return to_channels(image.convert("L"))[0]


@pytest.fixture(scope="module")
def photo():
    return make_dead_leaves(5, 480, 420)


@pytest.mark.parametrize("factor", [2, 3, 4, 5])
def test_find_enlargement_finds_the_factor(photo, factor):
    assert find_enlargement(luma(enlarge(degrade(photo, f"downscale:factor={factor}"), factor))) == factor


def test_find_enlargement_finds_the_factor_of_linear_interpolation(photo):
    small = degrade(photo, "downscale:factor=3")
    assert find_enlargement(luma(small.resize(photo.size, Image.Resampling.BILINEAR))) == 3


@pytest.mark.parametrize("spec", ["noise:sigma=10", "blur:sigma=2"])
def test_find_enlargement_of_photos_that_were_not_enlarged_is_none(photo, spec):
    assert find_enlargement(luma(degrade(photo, spec))) is None


@pytest.mark.parametrize("shape", [(1, 1), (47, 300), (64, 64), (300, 300)])
def test_find_enlargement_of_small_and_uniform_photos_is_none(shape):
    assert find_enlargement(np.full(shape, 99, np.float32)) is None
