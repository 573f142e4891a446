"""Formats and options of results, and the extensions of their names."""

import io

import pytest
from PIL import Image

from pipeline.imageio.image_file import add_format_extension, decode, encode
from tests.support.image_corpus import PHOTO_KINDS
from tests.support.image_files import encode_image, make_corpus_photo

MAX_PIXELS = 10**9


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("jpeg:quality=40,subsampling=4:2:0,progressive=1", {"progressive": 1}),
        ("tiff:compression=deflate,tile=32", {"compression": "tiff_adobe_deflate"}),
    ],
)
def test_encode_with_options_obeys_them(form, expected):
    photo = decode(encode_image(make_corpus_photo(), "PNG"), MAX_PIXELS)
    with Image.open(io.BytesIO(encode(photo, photo.pages, form, "keep"))) as image:
        assert expected.items() <= image.info.items()
    assert [add_format_extension(key, form) for key in ("a.jpeg", "b.TIFF")] in (
        ["a.jpeg", "b.TIFF.jpg"],
        ["a.jpeg.tif", "b.TIFF"],
    )


@pytest.mark.parametrize(
    ("key", "form", "expected"),
    [
        ("a.J2K", "same", "a.J2K"),
        ("a.jpc", "jpeg2000", "a.jpc"),
        ("a.png", "same", "a.png.jp2"),
        ("a.jp2", "png", "a.jp2.png"),
        ("box/scan.001", "same", "box/scan.001.jp2"),
        ("00000000", "same", "00000000.jp2"),
    ],
)
def test_add_format_extension_names_the_format_of_the_result(key, form, expected):
    photo = decode(next(kind for kind in PHOTO_KINDS if kind.name == "rgb.jp2").make(), MAX_PIXELS)
    assert add_format_extension(key, form, photo) == expected
