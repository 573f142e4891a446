import io

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.image_file import add_format_extension, decode, encode
from tests.support.photos import make_photo, write_mixed_archive

LOTS = 10**9


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    return folder, write_mixed_archive(folder)


def test_every_kind_is_read_or_refused_with_its_code(odd):
    folder, expected = odd
    for key, (status, code) in expected.items():
        data = (folder / key).read_bytes()
        if status == "ok":
            photo = decode(data, LOTS)
            assert photo.properties["width"] == photo.pixels.width
        else:
            with pytest.raises(ImageError) as caught:
                decode(data, LOTS)
            assert (caught.value.code, caught.value.code.skipped) == (code, status == "skipped"), key


@pytest.mark.parametrize("key", ["good.png", "grey.jpg", "cmyk.jpg", "rgba.png", "16bit.png", "16bit.tif", "webp.webp"])
def test_format_mode_and_depth_are_kept(odd, key):
    photo = decode((odd[0] / key).read_bytes(), LOTS)
    again = decode(encode(photo, photo.pixels, "same", "keep"), LOTS)
    assert again.properties == photo.properties
    if key.endswith((".png", ".tif")):
        np.testing.assert_array_equal(again.pixels.samples, photo.pixels.samples)


def test_jpeg_keeps_tables_orientation_and_resolution(odd):
    data = (odd[0] / "good.jpg").read_bytes()
    photo = decode(data, LOTS)
    assert photo.properties["orientation"] == 6
    with (
        Image.open(io.BytesIO(data)) as before,
        Image.open(io.BytesIO(encode(photo, photo.pixels, "same", "keep"))) as after,
    ):
        assert after.quantization == before.quantization
        assert after.getexif()[0x0112] == 6
        assert after.info["dpi"] == before.info["dpi"]
        assert after.info.get("progressive")
    stripped = decode(encode(photo, photo.pixels, "same", "strip"), LOTS)
    assert stripped.properties["orientation"] == 6, "viewers show it as before"


def test_other_formats_and_what_they_cannot_hold(odd):
    photo = decode((odd[0] / "rgba.png").read_bytes(), LOTS)
    assert decode(encode(photo, photo.pixels, "webp", "keep"), LOTS).properties["has_alpha"]
    with pytest.raises(ImageError, match="cannot be written as JPEG") as caught:
        encode(photo, photo.pixels, "jpeg", "keep")
    assert caught.value.code is ErrorCode.UNSUPPORTED_OUTPUT
    assert [add_format_extension(key, "jpeg") for key in ("a.JPG", "b.png")] == ["a.JPG", "b.png.jpg"]
    assert add_format_extension("a.png", "same") == "a.png"


def test_too_many_pixels_are_refused_before_decoding():
    with io.BytesIO() as file:
        make_photo().save(file, "PNG")
        with pytest.raises(ImageError, match="48 × 36 pixels are more than") as caught:
            decode(file.getvalue(), 1000)
    assert caught.value.code is ErrorCode.TOO_LARGE


@pytest.mark.parametrize("most", [1000, 4095, 65535])
@pytest.mark.parametrize(("kind", "channels"), [(b"P5", 1), (b"P6", 3)])
def test_ppm_of_more_than_8_bits_keeps_them(kind, channels, most):
    samples = np.random.default_rng(1).integers(0, most + 1, (5, 7, channels))
    data = kind + b"\n# of a scanner\n7 5 # and so on\n%d\n" % most + samples.astype(">u2").tobytes()
    found = decode(data, LOTS)
    assert found.properties["bit_depth"] == most.bit_length()
    np.testing.assert_array_equal(found.pixels.samples, np.rint(samples / most * 65535))
    again = decode(encode(found, found.pages, "same", "keep"), LOTS)
    assert again.properties["bit_depth"] == most.bit_length()
    assert np.abs(again.pixels.samples.astype(int) - found.pixels.samples).max() <= (most == 1000) * 32
    with pytest.raises(ImageError) as caught:
        decode(data[:-1], LOTS)
    assert caught.value.code is ErrorCode.DAMAGED
