"""BMP: alpha and profiles of version 5; what cannot be read completely is refused."""

import struct

import numpy as np
import pytest

from deepot.photo.icc import ProfileUse, classify_profile
from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.image_file import check_writable, decode, encode
from tests.support.icc_profiles import DISPLAY_P3, GREY_18, make_scanner_profile
from tests.support.image_files import encode_image, make_corpus_photo, make_cutout
from tests.support.image_tools import decode_with_imagemagick, read_profile_with_exiftool

MAX_PIXELS = 10**9
ALPHA_MASKS = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)


def make_bmp(size=124, bits=32, compression=3, masks=ALPHA_MASKS, space=b"BGRs", calibration=bytes(48), profile=b""):
    """A BMP file of 5 × 4 random pixels, with a header of any version."""
    row_bytes = -(-5 * bits // 32) * 4
    pixels = np.random.default_rng(5).integers(0, 256, 4 * row_bytes, np.uint8).tobytes()
    head = struct.pack("<I2i2H2I2i2I", size, 5, 4, 1, bits, compression, len(pixels), 2835, 2835, 0, 0)
    fields = struct.pack("<4I", *(*masks, 0, 0, 0, 0)[:4]) + space + calibration
    fields += struct.pack("<4I", 4, size + len(pixels) if profile else 0, len(profile), 0)
    extra = struct.pack(f"<{len(masks)}I", *masks) if size == 40 else b""
    head = (head + fields)[:size] + extra
    return b"BM" + struct.pack("<I4xI", 14 + len(head) + len(pixels), 14 + len(head)) + head + pixels + profile


def refused(data):
    with pytest.raises(ImageError) as caught:
        decode(data, MAX_PIXELS)
    return caught.value.code


@pytest.mark.parametrize("size", [56, 108, 124])
@pytest.mark.parametrize(
    "masks", [ALPHA_MASKS, (0xFF, 0xFF00, 0xFF0000, 0xFF000000), (0xFF000000, 0xFF0000, 0xFF00, 0xFF)]
)
def test_encode_as_same_keeps_alpha_of_every_layout(size, masks, tmp_path):
    found = decode(make_bmp(size, masks=masks), MAX_PIXELS)
    assert found.pixels.alpha is not None
    result = encode(found, found.pages, "same", "keep")
    again = decode(result, MAX_PIXELS)
    np.testing.assert_array_equal(again.pixels.samples, found.pixels.samples)
    np.testing.assert_array_equal(again.pixels.alpha, found.pixels.alpha)
    assert again.metadata.dpi == pytest.approx(found.metadata.dpi, rel=1e-3)
    (tmp_path / "result.bmp").write_bytes(result)
    theirs = decode_with_imagemagick(tmp_path / "result.bmp", channels="rgba")
    np.testing.assert_array_equal(theirs, np.dstack([found.pixels.samples, found.pixels.alpha]))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("profile", [DISPLAY_P3, make_scanner_profile()])
def test_encode_keeps_the_profile(mode, profile, tmp_path):
    photo = make_corpus_photo() if mode == "RGB" else make_cutout()
    source = decode(encode_image(photo, "PNG", icc_profile=profile), MAX_PIXELS)
    check_writable(source, "bmp")
    first = decode(encode(source, source.pages, "bmp", "keep"), MAX_PIXELS)
    result = encode(first, first.pages, "same", "keep")
    again = decode(result, MAX_PIXELS)
    assert first.metadata.icc == again.metadata.icc == profile
    np.testing.assert_array_equal(again.pixels.samples, source.pixels.samples)
    (tmp_path / "result.bmp").write_bytes(result)
    assert read_profile_with_exiftool(tmp_path / "result.bmp") == profile
    theirs = decode_with_imagemagick(tmp_path / "result.bmp")
    np.testing.assert_array_equal(theirs, source.pixels.samples)


def test_encode_of_grey_with_a_profile_or_alpha_refuses_before_the_work():
    for data in (
        encode_image(make_corpus_photo("L"), "PNG", icc_profile=GREY_18),
        encode_image(make_cutout("LA"), "PNG"),
    ):
        with pytest.raises(ImageError, match="supported by png,") as caught:
            check_writable(decode(data, MAX_PIXELS), "bmp")
        assert caught.value.code is ErrorCode.UNSUPPORTED_OUTPUT


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (make_bmp(40, compression=6), ErrorCode.UNSUPPORTED_MODE),
        (make_bmp(56, 16, masks=(0x7C00, 0x3E0, 0x1F, 0x8000)), ErrorCode.UNSUPPORTED_MODE),
        (make_bmp(masks=(0xF00, 0xF0, 0xF, 0xF000)), ErrorCode.UNSUPPORTED_MODE),
        (make_bmp(masks=(0x3FF00000, 0xFFC00, 0x3FF, 0)), ErrorCode.UNSUPPORTED_BIT_DEPTH),
        (make_bmp(compression=4), ErrorCode.UNSUPPORTED_FORMAT),
        (make_bmp(compression=5), ErrorCode.UNSUPPORTED_FORMAT),
        (make_bmp(64, compression=3), ErrorCode.UNSUPPORTED_FORMAT),
        (make_bmp(bits=24, compression=0, space=b"KNIL", profile=b"C:\\P3.icc\0"), ErrorCode.UNSUPPORTED_MODE),
        (make_bmp()[:60], ErrorCode.DAMAGED),
    ],
)
def test_decode_refuses_what_it_cannot_read_completely(data, code):
    assert refused(data) is code


def test_decode_names_the_linked_profile():
    with pytest.raises(ImageError, match=r"in another file, 'C:\\P3\.icc'"):
        decode(make_bmp(bits=24, compression=0, space=b"KNIL", profile=b"C:\\P3.icc\0"), MAX_PIXELS)


@pytest.mark.parametrize("size", [108, 124])
def test_decode_of_calibrated_colours_makes_their_profile(size):
    endpoints = (0.4866, 0.2290, 0.0, 0.2657, 0.6917, 0.0451, 0.1982, 0.0793, 1.0439)  # of Display P3, to D65
    calibration = struct.pack("<9i3I", *(round(value * 2**30) for value in endpoints), *[round(2.2 * 65536)] * 3)
    found = decode(make_bmp(size, 24, 0, (), bytes(4), calibration), MAX_PIXELS)
    assert classify_profile(found.metadata.icc, 3) is ProfileUse.CONVERTED
    ours, theirs = (
        decode(make_bmp(124, 24, 0, (), b"DEBM", profile=profile), MAX_PIXELS).pixels.to_rgb()
        for profile in (found.metadata.icc, DISPLAY_P3)
    )
    assert (ours - theirs).abs().max() < 2 / 255
    again = decode(encode(found, found.pages, "same", "keep"), MAX_PIXELS)
    assert again.metadata.icc == found.metadata.icc
    assert decode(make_bmp(size, 24, 0, (), bytes(4)), MAX_PIXELS).metadata.icc is None, "there are no numbers"


def test_decode_of_grey_values_with_a_profile_of_colours_makes_colours():
    """The palette of a BMP file has colours, grey or not, and its profile describes them."""
    photo = decode(encode_image(make_corpus_photo("L"), "BMP"), MAX_PIXELS)
    plain = encode(photo, photo.pages, "bmp", "keep")
    head = bytearray(plain[: 14 + 40]) + bytes(16) + b"DEBM" + bytes(48)
    head += struct.pack("<4I", 4, len(plain) + 84 - 14, len(DISPLAY_P3), 0)
    struct.pack_into("<I", head, 10, len(plain) - photo.pixels.samples.size + 84)
    struct.pack_into("<I", head, 14, 124)
    found = decode(bytes(head) + plain[54:] + DISPLAY_P3, MAX_PIXELS)
    np.testing.assert_array_equal(found.pixels.samples, np.repeat(photo.pixels.samples, 3, axis=2))
    assert found.pixels.colour_space is not None
    assert decode(encode(found, found.pages, "same", "keep"), MAX_PIXELS).metadata.icc == DISPLAY_P3


def test_decode_reports_a_profile_that_is_cut_short():
    found = decode(make_bmp(bits=24, compression=0, space=b"DEBM", profile=DISPLAY_P3)[:-10], MAX_PIXELS)
    assert found.metadata.icc is None
    assert "ICC profile" in found.properties["damaged_metadata"]
