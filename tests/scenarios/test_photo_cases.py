"""Files of the shared folder that other programs wrote: TIFF pages that are no photos, codecs, and stated colours."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.image_file import decode, encode
from tests.support.icc_profiles import ADOBE_RGB
from tests.support.tiff_files import block_mean, read_page, read_segments, restored

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "photos"
MAX_PIXELS = 10**9
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="no ../shared folder with cases beside this checkout")


def read(name):
    return (CASES / name).read_bytes()


def test_levels_of_a_pyramid_are_made_from_the_result():
    data = read("t01-pyramid-pages.tif")
    result, (samples,) = restored(data)
    for number, factor in enumerate((2, 4, 8), start=1):
        np.testing.assert_allclose(read_page(result, number), block_mean(samples, factor), atol=1)
    photo = decode(data, MAX_PIXELS)
    assert (photo.properties["pages"], photo.properties["other_pages"]) == (1, "3 reduced")
    assert encode(photo, photo.pages, "jpeg", "keep")


def test_infrared_page_of_a_scanner_stays_and_the_thumbnail_is_made_anew():
    data = read("t11-hdri-ir.tif")
    result, (samples,) = restored(data)
    assert read_segments(result, 2) == read_segments(data, 2)
    expected = samples.reshape(24, 4, 36, 4, 3).mean((1, 3)) / 257
    np.testing.assert_allclose(read_page(result, 1), expected, atol=1)


def test_integers_of_64_bits_survive(tmp_path):
    (tmp_path / "result.tif").write_bytes(restored(read("t03-bigtiff-long8.tif"))[0])
    with tifffile.TiffFile(tmp_path / "result.tif") as file:
        assert file.pages[0].tags[65001].value == (8589934597, 7)


def test_webp_inside_tiff_is_read():
    data = read("t06-webp-8.tif")
    np.testing.assert_array_equal(decode(data, MAX_PIXELS).pixels.samples, read_page(data, 0))


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("t07e-planar-jpeg.tif", ErrorCode.UNSUPPORTED_FORMAT, "JPEG in separate planes of YCbCr"),
        ("t26-depth-volume.tif", ErrorCode.UNSUPPORTED_MODE, "its only page is no photo but a depth volume"),
    ],
)
def test_file_that_cannot_be_restored_is_skipped_and_says_what_it_is(name, code, message):
    with pytest.raises(ImageError, match=message) as caught:
        decode(read(name), MAX_PIXELS)
    assert caught.value.code is code


@pytest.mark.parametrize("policy", ["keep", "strip-gps", "strip"])
@pytest.mark.parametrize("form", ["same", "png", "tiff"])
def test_adobe_rgb_by_exif_survives(form, policy):
    photo = decode(read("j10-adobe-r03.jpg"), MAX_PIXELS)
    again = decode(encode(photo, photo.pages, form, policy), MAX_PIXELS).pixels
    meant = type(again).from_array(again.samples, ADOBE_RGB, alpha=False)
    np.testing.assert_allclose(again.to_rgb(), meant.to_rgb(), atol=2 / 255)
