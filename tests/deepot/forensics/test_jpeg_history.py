"""Earlier JPEG compressions, found in samples."""

import numpy as np
import pytest

from deepot.forensics.jpeg_history import find_jpeg_history
from tests.support.synthetic_photos import degrade, encode_jpeg, make_dead_leaves, read_jpeg, to_channels


@pytest.fixture(scope="module")
def photo():
    return make_dead_leaves(3)


@pytest.mark.parametrize("quality", [12, 35, 60, 80])
def test_find_jpeg_history_finds_the_quality(photo, quality):
    found = find_jpeg_history(to_channels(degrade(photo, f"jpeg:quality={quality}")))
    assert found.quality == quality


def test_find_jpeg_history_finds_the_quality_of_grey_photos(photo):
    assert find_jpeg_history(to_channels(degrade(photo.convert("L"), "jpeg:quality=40"))).quality == 40


def test_find_jpeg_history_finds_the_grid_of_a_cropped_photo(photo):
    cropped = degrade(photo, "jpeg:quality=30").crop((3, 5, 300, 240))
    assert find_jpeg_history(to_channels(cropped)).quality == 30


def test_find_jpeg_history_finds_an_earlier_quality_in_a_jpeg_file_and_not_that_of_the_file(photo):
    once, coding = read_jpeg(encode_jpeg(photo, 92))
    twice, _ = read_jpeg(encode_jpeg(degrade(photo, "jpeg:quality=25"), 92))
    assert find_jpeg_history(np.float32(once.samples.transpose(2, 0, 1)), coding.quality) is None
    assert find_jpeg_history(np.float32(twice.samples.transpose(2, 0, 1)), coding.quality).quality == 25


@pytest.mark.parametrize("spec", ["noise:sigma=20", "blur:sigma=2", "noise:sigma=0.1"])
def test_find_jpeg_history_of_photos_that_were_no_jpeg_is_none(photo, spec):
    assert find_jpeg_history(to_channels(degrade(photo, spec))) is None


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 15, 200), (3, 16, 16), (1, 64, 64)])
def test_find_jpeg_history_of_tiny_and_uniform_photos_is_none(shape):
    assert find_jpeg_history(np.full(shape, 99, np.float32)) is None


def test_find_jpeg_history_of_an_entirely_clipped_photo_is_none():
    bilevel = np.random.default_rng(0).integers(0, 2, (3, 96, 96)) * np.float32(255)
    assert find_jpeg_history(bilevel) is None
