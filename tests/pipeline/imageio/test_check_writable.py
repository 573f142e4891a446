"""Whether a result can be written is known before the work: the check and the writing agree about every photo."""

import io
import math
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from PIL import Image

from deepot.photo import Pixels
from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.image_file import check_writable, decode, encode
from pipeline.imageio.output_formats import find_unwritable_format, parse_output_format, unsupported_reason
from pipeline.imageio.registry import FORMATS
from tests.support.icc_profiles import DISPLAY_P3, GREY_18, make_scanner_profile
from tests.support.image_corpus import PHOTO_KINDS
from tests.support.image_files import encode_image, make_corpus_photo, make_cutout
from tests.support.odd_files import ODD_FILES

MAX_PIXELS = 10**9
SPECS = (
    *("same", "png", "jpeg", "tiff", "webp", "avif", "jpeg2000", "bmp", "heif", "jxl"),
    *("webp:lossless=1", "jxl:lossless=1", "jpeg2000:psnr=40", "jpeg:subsampling=4:2:0", "avif:subsampling=4:2:0"),
)


def encode_rotated(kind):
    exif = Image.Exif()
    exif[274] = 6
    return encode_image(make_corpus_photo(), kind, exif=exif.tobytes())


OTHERS = {
    "unreadable profile.png": lambda: encode_image(make_corpus_photo(), "PNG", icc_profile=b"no profile"),
    "cut profile.png": lambda: encode_image(make_corpus_photo(), "PNG", icc_profile=make_scanner_profile()[:4000]),
    "other profile.jpg": lambda: encode_image(make_corpus_photo("L"), "JPEG", icc_profile=DISPLAY_P3),
    "grey profile.png": lambda: encode_image(make_corpus_photo("L"), "PNG", icc_profile=GREY_18),
    "p3.png": lambda: encode_image(make_corpus_photo(), "PNG", icc_profile=DISPLAY_P3),
    "alpha.jxl": lambda: encode_image(make_cutout(), "JXL", quality=90),
    "lossless-alpha.jxl": lambda: encode_image(make_cutout(), "JXL", lossless=True),
    "wide.png": lambda: encode_image(Image.new("RGB", (16_384, 33)), "PNG"),
    "strip.png": lambda: encode_image(Image.new("RGB", (4_217, 31)), "PNG"),
    "high.bmp": lambda: encode_image(Image.new("L", (1, 65_536)), "BMP"),
    "very wide.png": lambda: encode_image(Image.new("RGB", (40_000, 2)), "PNG"),
    "rotated.png": lambda: encode_rotated("PNG"),
    "rotated.jpg": lambda: encode_rotated("JPEG"),
}
PHOTOS = (
    {kind.name: kind.make for kind in PHOTO_KINDS}
    | {f"odd {name}": make for name, (make, *_) in ODD_FILES.items()}
    | OTHERS
)


@lru_cache(maxsize=1)
def decode_photo(name):
    """A photo of `PHOTOS`; None if it is not read."""
    for module in ("pillow_heif", "pillow_jxl"):
        pytest.importorskip(module)
    for each in FORMATS:
        each.is_available()
    try:
        return decode(PHOTOS[name](), MAX_PIXELS)
    except ImageError:
        return None


def code_of(function, *arguments):
    """The code of the ImageError that a call raises; None if it raises none."""
    try:
        function(*arguments)
    except ImageError as error:
        return error.code
    return None


@pytest.mark.parametrize("name", PHOTOS)
def test_check_writable_refuses_exactly_what_encode_refuses(name):
    if (photo := decode_photo(name)) is None:
        return
    for spec in SPECS:
        refused = code_of(check_writable, photo, spec)
        assert code_of(encode, photo, photo.pages, spec, "keep") is refused, spec
        assert refused in (None, ErrorCode.UNSUPPORTED_OUTPUT, ErrorCode.UNSUPPORTED_FORMAT)


@pytest.mark.parametrize(
    ("name", "spec", "reason"),
    [
        ("rgba.png", "jpeg", "alpha channel"),
        ("grey-alpha.png", "bmp", "grey with an alpha channel; supported by png, tiff, avif,"),
        (
            "grey profile.png",
            "bmp",
            "its colours need its ICC profile, .* supported by png, jpeg, tiff, avif, jpeg2000 and",
        ),
        ("unreadable profile.png", "jxl", "its ICC profile is unreadable"),
        ("cut profile.png", "jxl", "its ICC profile is unreadable"),
        ("cmyk.tif", "jpeg2000", "CMYK"),
        ("p3.png", "jxl", "ICC profile"),
        ("pages.tif", "jpeg", "pages"),
        ("16bit-rgb.png", "webp", "16 bits per sample would be cut to 8"),
        ("odd still.gif", "same", "GIF files cannot hold the result"),
        ("grey.png", "webp", "grey"),
        ("wide.png", "webp", "16384 pixels along one side are more than 16383; supported by png, jpeg, tiff, avif,"),
        ("strip.png", "heif", "4217 pixels along one side are more than 4216; supported by png, jpeg"),
    ],
)
def test_check_writable_says_what_the_format_cannot_hold(name, spec, reason):
    with pytest.raises(ImageError, match=reason):
        check_writable(decode_photo(name), spec)


@pytest.mark.parametrize("name", ["unreadable profile.png", "cut profile.png"])
def test_encode_keeps_an_unreadable_profile_where_it_can(name):
    photo = decode_photo(name)
    kept = decode(encode(photo, photo.pages, "tiff", "keep"), MAX_PIXELS)
    assert kept.metadata.icc == photo.metadata.icc


@pytest.mark.parametrize("spec", ["jxl", "bmp"])
def test_check_writable_passes_over_a_profile_of_other_samples(spec):
    photo = decode_photo("other profile.jpg")
    assert photo.metadata.icc == DISPLAY_P3
    check_writable(photo, spec)


def test_check_writable_knows_the_size_of_enlarged_results():
    photo = decode_photo("rgb.png")
    assert photo.properties["width"] == 48
    check_writable(photo, "webp", 341)
    with pytest.raises(ImageError, match="16416 pixels along one side are more than 16383"):
        check_writable(photo, "webp", 342)
    for spec in ("tiff", "bmp"):
        with pytest.raises(ImageError, match="bytes of samples are more than a file can hold"):
            check_writable(photo, spec, 900)
    check_writable(photo, "png", 900)


@pytest.mark.parametrize("spec", ["tiff", "bmp"])
def test_check_writable_counts_the_bytes_of_transparency(spec):
    photo = decode_photo("rgba.png")
    scale = math.isqrt(4 * 10**9 // photo.pixels.samples.nbytes)
    with pytest.raises(ImageError, match="bytes of samples are more than a file can hold"):
        check_writable(photo, spec, scale)
    check_writable(replace(photo, pages=[replace(photo.pixels, alpha=None)]), spec, scale)


@pytest.mark.parametrize("lossless", [0, 1])
def test_jxl_keeps_the_colours_below_transparency(lossless):
    photo = decode_photo("rgba.png")
    again = decode(encode(photo, photo.pages, f"jxl:lossless={lossless}", "keep"), MAX_PIXELS)
    np.testing.assert_array_equal(again.pixels.samples, photo.pixels.samples)
    np.testing.assert_array_equal(again.pixels.alpha, photo.pixels.alpha)


@pytest.mark.parametrize("image_format", [each for each in FORMATS if each.writable], ids=lambda each: each.name)
def test_formats_hold_pages_of_the_largest_side_that_they_state(image_format):
    """Where it can be tried in little time and memory."""
    photo = decode_photo("rgb.png")
    options = image_format.make_options() if image_format.spec_name else {}
    can = image_format.capabilities
    for limit, shorter in ((can.max_strip_side, 1), (can.max_side, 33)):
        limit = min(limit, can.max_side)
        if limit > 70_000 or (image_format.name in ("HEIF", "AVIF") and limit > 10_000):
            continue
        pages = [Pixels(np.full((shorter, limit, 3), 90, np.uint8))]
        assert unsupported_reason(image_format, pages, 8) is None
        data = image_format.write(replace(photo, matching_format=None), pages, options, "keep", None).data
        with Image.open(io.BytesIO(data)) as image:
            assert image.size == (limit, shorter)


def test_find_unwritable_format_goes_by_the_name_and_the_format_of_results():
    written = [each.extensions[0] for each in FORMATS if each.writable]
    assert {find_unwritable_format(f"box/a{suffix}", "same") for suffix in [*written, "", ".gi", ".gif.png"]} == {None}
    assert find_unwritable_format("box/a.b.GIF", "same") == "GIF"
    assert find_unwritable_format("box/a.gif", "tiff:tile=16") is None
    assert parse_output_format("same") is None
