"""What a photo of a page needs, and where two versions differ most."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from pipeline.reporting import find_largest_change, to_data_uri
from tests.support.preview_photos import LABELS, make_preview_photo


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"labels": LABELS[:1]}, "1 version.s., at least two"),
        ({"after": 3}, "versions 0 and 3 of 3"),
        ({"before": -1}, "versions -1 and 1 of 3"),
    ],
)
def test_preview_photo_without_two_versions_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        make_preview_photo(**values)


def test_to_data_uri_keeps_size_and_colours():
    pixels = np.full((30, 50, 3), (200, 30, 90), np.uint8)
    head, _, data = to_data_uri(pixels).partition(",")
    assert head == "data:image/jpeg;base64"
    found = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))), int)
    assert found.shape == pixels.shape and np.abs(found - pixels).max() <= 2


@pytest.mark.parametrize("corner", [(0, 0), (36, 60), (70, 110)])
def test_find_largest_change_is_within_four_pixels_of_it(corner):
    before = np.random.default_rng(5).integers(0, 200, (96, 140, 3), np.uint8)
    after = before.copy()
    after[corner[0] : corner[0] + 16, corner[1] : corner[1] + 16] += 40
    after[:2] += 1
    mark = find_largest_change(before, after)
    assert abs(mark.y - corner[0]) <= 4 and abs(mark.x - corner[1]) <= 4
    assert (mark.width, mark.height) == (16, 16)
    assert mark.x + mark.width <= 140 and mark.y + mark.height <= 96


def test_find_largest_change_of_equal_or_tiny_images_is_none():
    image = np.zeros((40, 40, 3), np.uint8)
    assert find_largest_change(image, image) is None
    assert find_largest_change(image[:8], image[:8] + np.uint8(9)) is None
