"""Decoding and encoding a mixed archive."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.image_file import add_format_extension, decode, encode
from tests.support.photos import make_photo, write_mixed_archive

MAX_PIXELS = 10**9


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    return folder, write_mixed_archive(folder)


def test_decode_of_a_mixed_archive_reads_or_refuses_with_the_expected_code(odd):
    folder, expected = odd
    for key, (status, code) in expected.items():
        data = (folder / key).read_bytes()
        if status == "ok":
            photo = decode(data, MAX_PIXELS)
            assert photo.properties["width"] == photo.pixels.width
        else:
            with pytest.raises(ImageError) as caught:
                decode(data, MAX_PIXELS)
            assert (caught.value.code, caught.value.code.skipped) == (code, status == "skipped"), key


@pytest.mark.parametrize("key", ["good.png", "grey.jpg", "cmyk.jpg", "rgba.png", "16bit.png", "16bit.tif", "webp.webp"])
def test_encode_as_same_keeps_format_mode_and_depth(odd, key):
    photo = decode((odd[0] / key).read_bytes(), MAX_PIXELS)
    again = decode(encode(photo, photo.pixels, "same", "keep"), MAX_PIXELS)
    assert again.properties == photo.properties
    if key.endswith((".png", ".tif")):
        np.testing.assert_array_equal(again.pixels.samples, photo.pixels.samples)


def test_encode_as_same_keeps_orientation_resolution_and_scans_of_a_jpeg_and_coarsens_no_table(odd):
    data = (odd[0] / "good.jpg").read_bytes()
    photo = decode(data, MAX_PIXELS)
    assert photo.properties["orientation"] == 6
    with (
        Image.open(io.BytesIO(data)) as before,
        Image.open(io.BytesIO(encode(photo, photo.pixels, "same", "keep"))) as after,
    ):
        assert all(np.all(np.less_equal(after.quantization[key], before.quantization[key])) for key in (0, 1))
        assert after.getexif()[0x0112] == 6
        assert after.info["dpi"] == before.info["dpi"]
        assert after.info.get("progressive")
    stripped = decode(encode(photo, photo.pixels, "same", "strip"), MAX_PIXELS)
    assert stripped.properties["orientation"] == 6, "viewers show it as before"


def test_encode_as_format_without_alpha_refuses_transparency(odd):
    photo = decode((odd[0] / "rgba.png").read_bytes(), MAX_PIXELS)
    assert decode(encode(photo, photo.pixels, "webp", "keep"), MAX_PIXELS).properties["has_alpha"]
    with pytest.raises(ImageError, match="cannot be written as JPEG") as caught:
        encode(photo, photo.pixels, "jpeg", "keep")
    assert caught.value.code is ErrorCode.UNSUPPORTED_OUTPUT
    assert [add_format_extension(key, "jpeg") for key in ("a.JPG", "b.png")] == ["a.JPG", "b.png.jpg"]
    assert add_format_extension("a.png", "same") == "a.png"


def test_decode_of_too_many_pixels_refuses_before_decoding():
    with io.BytesIO() as file:
        make_photo().save(file, "PNG")
        with pytest.raises(ImageError, match="48 × 36 pixels are more than") as caught:
            decode(file.getvalue(), 1000)
    assert caught.value.code is ErrorCode.TOO_LARGE
