"""The quality of JPEG files by their tables, against the files that Pillow writes."""

import io

import numpy as np
import pytest
from PIL import Image

from deepot.forensics.jpeg_tables import JpegCoding, estimate_table_quality, scale_luma_table
from tests.support.synthetic_photos import encode_jpeg

ZIGZAG = sorted(
    ((row, column) for row in range(8) for column in range(8)),
    key=lambda place: (sum(place), place[0] if sum(place) % 2 else place[1]),
)


def read_tables(quality):
    with Image.open(io.BytesIO(encode_jpeg(Image.new("RGB", (16, 16)), quality))) as image:
        return [list(table) for table in image.quantization.values()]


@pytest.mark.parametrize("quality", [1, 10, 30, 49, 50, 51, 75, 90, 95, 100])
def test_estimate_table_quality_finds_the_quality_that_pillow_was_given(quality):
    tables = read_tables(quality)
    assert estimate_table_quality(tables) == quality
    assert JpegCoding(tables, is_chroma_subsampled=True).quality == quality


@pytest.mark.parametrize("quality", [5, 40, 80, 97])
def test_scale_luma_table_has_the_steps_that_libjpeg_writes(quality):
    assert sorted(read_tables(quality)[0]) == sorted(scale_luma_table(quality).flatten().tolist())


def test_scale_luma_table_lies_in_natural_order():
    steps = read_tables(50)[0]
    table = scale_luma_table(50)
    in_zigzag_order = [int(table[place]) for place in ZIGZAG]
    assert steps in (table.flatten().tolist(), in_zigzag_order), "Pillow's order has changed between versions"


def test_estimate_table_quality_of_other_tables_is_the_closest_standard_one():
    steps = np.rint(scale_luma_table(60) * 1.03).astype(int)
    assert abs(estimate_table_quality([steps.flatten().tolist()]) - 60) <= 2


@pytest.mark.parametrize("tables", [[], [[]], [[1, 2, 3]]])
def test_estimate_table_quality_without_a_complete_table_is_none(tables):
    assert estimate_table_quality(tables) is None


def test_estimate_table_quality_of_zero_steps_does_not_fail():
    assert estimate_table_quality([[0] * 64]) == 100
