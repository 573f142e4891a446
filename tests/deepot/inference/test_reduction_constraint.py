"""Results of enlarged photos become the small photo again when they are reduced, and change no more than that needs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deepot.inference import ReductionConstraint
from deepot.photo import ConstantAreas, Pixels
from tests.support.synthetic_photos import make_dead_leaves


def reduce_bicubically(samples, factor):
    height, width, channels = samples.shape
    size = width // factor, height // factor
    planes = [
        np.asarray(Image.fromarray(np.ascontiguousarray(samples[:, :, channel])).resize(size, Image.Resampling.BICUBIC))
        for channel in range(channels)
    ]
    return np.stack(planes, axis=2)


def make_large(seed, width, height):
    return np.asarray(make_dead_leaves(seed, width, height, 200)).copy()


@settings(derandomize=True)  # few photos of random walks are clipped so much that more stays outside
@given(
    seed=st.integers(0, 10**6),
    factor=st.sampled_from([2, 3, 4]),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    channels=st.sampled_from([1, 3, 4]),
    contrast=st.sampled_from([0.2, 1.0, 8.0]),
)
def test_results_of_any_size_and_contrast_reduce_to_the_small_photo(seed, factor, height, width, channels, contrast):
    """Contrast of 8 clips most samples to black and white, so that few are left to correct others."""
    rng = np.random.default_rng(seed)
    large = rng.normal(128, 40, (height * factor, width * factor, channels))
    large = (np.cumsum(large - 128, axis=1) * 0.2 * contrast + 128).clip(0, 255).astype(np.uint8)
    small = reduce_bicubically(large, factor)
    result = Pixels((large + rng.normal(0, 8, large.shape)).clip(0, 255).astype(np.uint8))
    constraint = ReductionConstraint(small, factor, result.samples)
    constraint.project(result)
    assert constraint.count(result).outside <= (0.1 if contrast > 1 else 0.005) * small.size
    assert constraint.count(result).total == small.size


@pytest.mark.parametrize("factor", [2, 4])
def test_bicubic_enlargements_come_nearer_to_the_photo(factor):
    for seed in range(3):
        photo = make_large(seed, 240, 160)
        small = reduce_bicubically(photo, factor)
        enlarged = np.asarray(Image.fromarray(small).resize((240, 160), Image.Resampling.BICUBIC)).copy()
        result = Pixels(enlarged.copy())
        constraint = ReductionConstraint(small, factor, enlarged)
        assert constraint.count(result).outside > 0
        constraint.project(result)
        assert constraint.count(result).outside == 0
        before, after = (np.square(each.astype(float) - photo).mean() for each in (enlarged, result.samples))
        assert after < before


def test_the_change_is_the_least_one_where_nothing_is_clipped():
    """Against the pseudoinverse of the matrix of the reduction, in float64."""
    factor, side = 2, 24
    rng = np.random.default_rng(1)
    small = rng.integers(90, 160, (side, side, 1)).astype(np.uint8)
    start = rng.integers(80, 170, (side * factor, side * factor, 1)).astype(np.uint8)
    identity = np.eye(side * factor, dtype=np.float32)
    matrix = np.asarray(Image.fromarray(identity).resize((side * factor, side), Image.Resampling.BICUBIC), float)
    inverse = np.linalg.pinv(matrix)
    missing = small[:, :, 0] - matrix @ start[:, :, 0] @ matrix.T
    nearest = start[:, :, 0] + inverse @ missing @ inverse.T
    assert nearest.min() > 0 and nearest.max() < 255
    result = Pixels(start.copy())
    ReductionConstraint(small, factor, start).project(result)
    least, change = (np.sqrt(np.square(each - start[:, :, 0]).mean()) for each in (nearest, result.samples[:, :, 0]))
    assert change < 1.05 * least + 0.5


def test_what_contradicts_nothing_stays_as_it_is():
    photo = make_large(5, 200, 140)
    result = Pixels(photo.copy())
    constraint = ReductionConstraint(reduce_bicubically(photo, 2), 2, photo)
    constraint.project(result)
    difference = np.abs(result.samples.astype(int) - photo)
    assert constraint.count(result).outside == 0
    assert difference.max() <= 2, "rounding of the small photo is all that there is to correct"
    again = Pixels(result.samples.copy())
    constraint.project(again)
    np.testing.assert_array_equal(again.samples, result.samples)


def test_constant_areas_stay_as_they_are():
    photo = make_large(6, 128, 96)
    photo[:48, :64] = 200
    areas = ConstantAreas(photo)
    result = Pixels(photo.copy())
    other = make_large(7, 128, 96)
    ReductionConstraint(reduce_bicubically(other, 2), 2, photo).project(result, areas)
    mask = areas.mask(slice(0, 96), slice(0, 128))
    assert mask.any()
    np.testing.assert_array_equal(result.samples[mask], photo[mask])
    assert (result.samples != photo).any()


def test_photos_of_another_size_or_depth_are_refused():
    small = np.zeros((8, 9, 3), np.uint8)
    for restored in (
        np.zeros((16, 17, 3), np.uint8),
        np.zeros((16, 18, 1), np.uint8),
        np.zeros((16, 18, 3), np.uint16),
    ):
        with pytest.raises(ValueError, match="is not one of"):
            ReductionConstraint(small, 2, restored)
