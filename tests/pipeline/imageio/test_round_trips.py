"""Every kind of photo, decoded and encoded, keeps what a run must keep of it."""

import numpy as np
import pytest

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.image_file import decode, encode
from pipeline.imageio.metadata.ifd import (
    GPS_IFD,
    parse_exif_block,
    with_orientation,
)
from pipeline.imageio.metadata.metadata import TRAILER_KIND
from tests.support import photos_table
from tests.support.image_corpus import PHOTO_KINDS, make_kind
from tests.support.jpeg_files import encode_tagged_jpeg

MAX_PIXELS = 10**9
GEOTIFF = 33922  # ModelTiepoint


def read_kept(photo):
    """The values of a decoded photo that `PhotoKind.keeps` names."""
    metadata = photo.metadata
    blocks = {block.kind: block.data for block in metadata.blocks}
    return {
        "icc": metadata.icc,
        "exif": metadata.exif,
        "xmp": metadata.xmp,
        "iptc": metadata.iptc,
        "dpi": metadata.dpi,
        "text": [data for kind, data in blocks.items() if kind in (b"tEXt", b"iTXt", b"gAMA")],
        "comment": [block.data for block in metadata.blocks if block.kind == b"COM"],
        "segments": [block.data for block in metadata.blocks if block.kind in (b"APP1", b"APP2")],
        "appended": blocks.get(TRAILER_KIND),
        "alpha": None if photo.pixels.alpha is None else photo.pixels.alpha.tolist(),
        "other_pages": photo.properties["other_pages"],
        "pages": [(page.width, page.height) for page in photo.pages],
    }


@pytest.mark.parametrize("kind", PHOTO_KINDS, ids=lambda kind: kind.name)
def test_encode_as_same_keeps_pixels_and_metadata(kind):
    photo = decode(make_kind(kind), MAX_PIXELS)
    again = decode(encode(photo, photo.pages, "same", "keep"), MAX_PIXELS)
    assert again.properties == photo.properties | {"mode": kind.result_mode or photo.properties["mode"]}
    before, after = read_kept(photo), read_kept(again)
    assert photo.properties["orientation"] == (6 if "exif" in kind.keeps and kind.required_plugin is None else 1)
    for name in kind.keeps:
        assert before[name], f"the corpus has no {name} in it"
        assert after[name] == before[name], name
    assert {name for name, value in before.items() if value} <= kind.keeps | {"pages", "dpi", "icc", "exif", "text"}
    for page, same in zip(photo.pages, again.pages, strict=True):
        if kind.lossless:
            np.testing.assert_array_equal(same.samples, page.samples)
        else:
            assert np.abs(same.samples.astype(int) - page.samples).mean() < 12 * page.max_value / 255
        assert (same.alpha is None) == (page.alpha is None)
        assert (same.colour_space is None) == (page.colour_space is None)


@pytest.mark.parametrize("kind", PHOTO_KINDS, ids=lambda kind: kind.name)
def test_encode_with_strip_and_strip_gps_keeps_what_the_policy_says(kind):
    photo = decode(make_kind(kind), MAX_PIXELS)
    bare = decode(encode(photo, photo.pages, "same", "strip"), MAX_PIXELS)
    for name in ("icc", "dpi"):
        assert read_kept(bare)[name] == read_kept(photo)[name]
    assert bare.properties["orientation"] == photo.properties["orientation"]
    assert not any(read_kept(bare)[name] for name in ("xmp", "iptc", "comment", "segments", "appended"))
    data = encode(photo, photo.pages, "same", "strip")
    assert b"tram" not in data
    assert b"GPS" not in data

    gps_free = encode(photo, photo.pages, "same", "strip-gps")
    assert b"GPS" not in gps_free
    again = decode(gps_free, MAX_PIXELS)
    if "exif" in kind.keeps:
        block, before = parse_exif_block(again.metadata.exif), parse_exif_block(photo.metadata.exif)
        assert GPS_IFD in before.children
        assert GPS_IFD not in block.children
        assert block.tags == {code: tag for code, tag in before.tags.items() if code != GEOTIFF}
        assert (GEOTIFF in before.tags) == kind.name.endswith(".tif")
    if "xmp" in kind.keeps:
        assert b"box 17" in again.metadata.xmp
    if "iptc" in kind.keeps:
        assert again.metadata.iptc == photo.metadata.iptc


@pytest.mark.parametrize("form", ["png", "jpeg", "tiff", "webp", "avif", "jpeg2000", "bmp", "heif", "jxl"])
def test_encode_as_other_format_keeps_what_it_can_hold(form):
    pytest.importorskip("pillow_heif")
    pytest.importorskip("pillow_jxl")
    for source in ("full.jpg", "rgb.tif", "16bit-rgb.tif", "cmyk.tif", "full.png", "16bit-rgba.png", "pages.tif"):
        photo = decode(next(kind for kind in PHOTO_KINDS if kind.name == source).make(), MAX_PIXELS)
        try:
            data = encode(photo, photo.pages, form, "keep")
        except ImageError as error:
            assert error.code is ErrorCode.UNSUPPORTED_OUTPUT
            assert any(word in str(error) for word in ("pages", "bits per sample", "CMYK", "alpha channel", "profile"))
            continue
        again = decode(data, MAX_PIXELS)
        upright = form in ("bmp", "heif", "jpeg2000", "jxl")
        assert again.properties["orientation"] == (1 if upright else photo.properties["orientation"])
        assert again.properties["bit_depth"] == photo.properties["bit_depth"]
        assert again.metadata.icc == photo.metadata.icc
        if form != "bmp" and photo.metadata.xmp:
            assert again.metadata.xmp == photo.metadata.xmp
        if photo.metadata.exif and photo.properties["format"] != "TIFF" and form in ("png", "jpeg", "webp", "jpeg2000"):
            assert again.metadata.exif == with_orientation(photo.metadata.exif, again.properties["orientation"])
        if photo.metadata.dpi and form in ("png", "jpeg", "tiff", "jpeg2000"):
            assert again.metadata.dpi == pytest.approx(photo.metadata.dpi, abs=0.5)
        if photo.metadata.iptc and form in ("jpeg", "tiff"):
            assert again.metadata.iptc == photo.metadata.iptc
        if form in ("png", "tiff", "jpeg2000"):
            shown = photo.pixels.apply_orientation(photo.properties["orientation"]) if upright else photo.pixels
            np.testing.assert_array_equal(again.pixels.samples, shown.samples)


def test_encode_as_tiff_and_back_keeps_exif():
    photo = decode(encode_tagged_jpeg(), MAX_PIXELS)
    page = decode(encode(photo, photo.pages, "tiff", "keep"), MAX_PIXELS)
    back = decode(encode(page, page.pages, "jpeg", "keep"), MAX_PIXELS)
    before, after = parse_exif_block(photo.metadata.exif), parse_exif_block(back.metadata.exif)
    assert after.children == before.children
    assert {code: after.tags[code] for code in before.tags} == before.tags


def test_photos_page_has_the_table_of_the_corpus():
    pytest.importorskip("pillow_heif")
    pytest.importorskip("pillow_jxl")
    page = photos_table.PAGE.read_text(encoding="utf-8")
    assert page.split(photos_table.BEGIN)[1].split(photos_table.END)[0] == photos_table.format_table(), (
        "python -m tests.support.photos_table writes it anew"
    )
