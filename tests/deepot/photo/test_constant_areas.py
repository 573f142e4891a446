"""Constant areas against a search by brute force, at every size, and in strips."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepot.photo import constant_areas
from deepot.photo.constant_areas import CONSTANT_SIDE, ConstantAreas


def search(samples):
    height, width = samples.shape[:2]
    found = np.zeros((height, width), bool)
    for y in range(height - CONSTANT_SIDE + 1):
        for x in range(width - CONSTANT_SIDE + 1):
            square = (slice(y, y + CONSTANT_SIDE), slice(x, x + CONSTANT_SIDE))
            if (samples[square] == samples[y, x]).all():
                found[square] = True
    return found


def mask_of(samples):
    areas, (height, width) = ConstantAreas(samples), samples.shape[:2]
    return areas.mask(slice(0, height), slice(0, width)) if areas.any else np.zeros((height, width), bool)


@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(1, 4),
    st.sampled_from([np.uint8, np.uint16]),
    st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_constant_areas_equal_those_found_by_brute_force(height, width, channels, dtype, seed):
    generator = np.random.default_rng(seed)
    samples = generator.integers(0, 200, (height, width, channels)).astype(dtype)
    for _ in range(generator.integers(0, 4)):
        y, x = generator.integers(0, height), generator.integers(0, width)
        samples[y : y + generator.integers(8, 40), x : x + generator.integers(8, 40)] = generator.integers(0, 2)
    np.testing.assert_array_equal(mask_of(samples), search(samples))


def test_constant_areas_found_in_strips_are_the_same(monkeypatch):
    samples = np.random.default_rng(0).integers(0, 255, (150, 40, 1), dtype=np.uint8)
    samples[20:101, 3:33] = 5
    at_once = mask_of(samples)
    assert at_once.sum() == 81 * 30
    monkeypatch.setattr(constant_areas, "_STRIP_PIXELS", 40 * 17)
    np.testing.assert_array_equal(mask_of(samples), at_once)


def test_mask_of_a_region_is_that_part_of_the_whole():
    samples = np.zeros((40, 45, 3), np.uint8)
    samples[25:, 30:] = np.arange(15)[:, None]
    samples[:, :, 0] += (np.arange(45) > 21).astype(np.uint8)
    whole, areas = mask_of(samples), ConstantAreas(samples)
    for rows, columns in ((slice(3, 30), slice(11, 37)), (slice(16, 48), slice(40, 48)), (slice(0, 1), slice(0, 9))):
        np.testing.assert_array_equal(areas.mask(rows, columns), whole[rows, columns])


def test_mask_without_constant_pixels_is_refused():
    areas = ConstantAreas(np.random.default_rng(0).integers(0, 255, (64, 64, 1), dtype=np.uint8))
    assert not areas.any
    with pytest.raises(ValueError, match="ask `any` first"):
        areas.mask(slice(0, 8), slice(0, 8))
