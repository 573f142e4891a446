"""Photos that people have reported, if they lie beside this checkout."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.formats.jpeg2000_codestream import read_coding_style
from pipeline.imageio.image_file import check_writable, decode, encode

CASES = Path(__file__).resolve().parents[4] / "shared" / "cases" / "photos"
MAX_PIXELS = 10**9
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="no ../shared folder with cases beside this checkout")


def load(name):
    path = CASES / name
    if not path.exists():
        pytest.skip(f"{name} is not among the cases")
    return path.read_bytes()


def again(data):
    """A photo, and what is read of its result of the same format."""
    found = decode(data, MAX_PIXELS)
    check_writable(found, "same")
    return found, decode(encode(found, found.pages, "same", "keep"), MAX_PIXELS)


def test_scanner_profile_is_used():
    found, result = again(load("j16-scanner-lut-profile.jpg"))
    assert found.pixels.colour_space is not None
    assert result.metadata.icc == found.metadata.icc


def test_bmp_keeps_profile_and_alpha():
    found, result = again(load("b02-v5-icc.bmp"))
    assert found.pixels.colour_space is not None and result.metadata.icc == found.metadata.icc
    found, result = again(load("b01-alpha-bitfields.bmp"))
    np.testing.assert_array_equal(result.pixels.alpha, found.pixels.alpha)


def test_heic_with_an_orientation_in_exif_alone_is_turned():
    pytest.importorskip("pillow_heif")
    found, result = again(load("h01-from-o6.heic"))
    assert found.properties["orientation"] == 6
    assert (result.pixels.width, result.pixels.height) == (found.pixels.height, found.pixels.width)


def test_jp2_keeps_its_coding():
    data = load("k01-tiles-layers.jp2")
    found = decode(data, MAX_PIXELS)
    assert read_coding_style(encode(found, found.pages, "same", "keep")) == read_coding_style(data)


@pytest.mark.parametrize("name", ["k06-cmyk.jp2", "x06-p3-lossless.jxl"])
def test_what_a_format_cannot_hold_is_refused_before_the_work(name):
    pytest.importorskip("pillow_jxl")
    found = decode(load(name), MAX_PIXELS)
    with pytest.raises(ImageError) as caught:
        check_writable(found, "same")
    assert caught.value.code is ErrorCode.UNSUPPORTED_OUTPUT
    encode(found, found.pages, "tiff", "keep")


def test_ppm_of_two_photos_is_refused():
    with pytest.raises(ImageError) as caught:
        decode(load("n01-two-in-one.ppm"), MAX_PIXELS)
    assert caught.value.code is ErrorCode.ANIMATED
