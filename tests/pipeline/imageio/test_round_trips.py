"""Every kind of photo in and out: what a run must keep of it, it keeps."""

import importlib.util
import io
import re
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageOps

from deepot.photo.pixels import Pixels
from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.file_suffix import extension_for
from pipeline.imageio.formats import jpeg2000, png_chunks
from pipeline.imageio.image_file import add_format_extension, decode, encode
from pipeline.imageio.metadata import photoshop
from pipeline.imageio.metadata.ifd import (
    EXIF_IFD,
    GPS_IFD,
    IMAGE_WIDTH,
    ORIENTATION,
    PIXEL_X_DIMENSION,
    PIXEL_Y_DIMENSION,
    Ifd,
    Tag,
    parse_exif_block,
    read_orientation,
    with_integers,
    with_orientation,
)
from pipeline.imageio.metadata.metadata import TRAILER_KIND, Metadata, MetadataBlock
from tests.support import photos_table
from tests.support.image_corpus import PHOTO_KINDS
from tests.support.image_files import IPTC, encode_image, make_corpus_photo, make_exif
from tests.support.jpeg_files import encode_tagged_jpeg

LOTS = 10**9
GEOTIFF = 33922  # ModelTiepoint


def made(kind):
    if kind.required_plugin and importlib.util.find_spec(kind.required_plugin) is None:
        pytest.skip(f"{kind.required_plugin} is not installed")
    decode(encode_image(make_corpus_photo(), "BMP"), LOTS)  # registers the plugins
    return kind.make()


def carried(photo):
    """What `Kind.keeps` speaks of, of a decoded photo."""
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
        "pages": [(page.width, page.height) for page in photo.pages],
    }


@pytest.mark.parametrize("kind", PHOTO_KINDS, ids=lambda kind: kind.name)
def test_a_suffix_is_that_of_the_format_whatever_the_name_is(kind):
    data, own = made(kind), "." + kind.name.rpartition(".")[2]
    assert extension_for(f"box.zip#10+512/{kind.name.upper()}", data) == own
    for name in ("00000.parquet#image/0/17", "scan", "photo.php?id=3", "scan.gif"):
        assert extension_for(name, data) == own


def test_a_suffix_stays_that_of_the_name_where_it_fits_and_where_bytes_say_nothing():
    data = encode_image(make_corpus_photo(), "JPEG")
    assert [extension_for(name, data) for name in ("a.JFIF", "a.jpeg", "a.png")] == [".jfif", ".jpeg", ".jpg"]
    assert [extension_for(name, b"none") for name in ("a.TIF", "00000.parquet#image/0/17")] == [".tif", ""]


@pytest.mark.parametrize("kind", PHOTO_KINDS, ids=lambda kind: kind.name)
def test_the_same_format_keeps_everything(kind):
    photo = decode(made(kind), LOTS)
    again = decode(encode(photo, photo.pages, "same", "keep"), LOTS)
    assert again.properties == photo.properties | {"mode": kind.result_mode or photo.properties["mode"]}
    before, after = carried(photo), carried(again)
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
def test_strip_keeps_what_viewers_need_and_strip_gps_all_but_coordinates(kind):
    photo = decode(made(kind), LOTS)
    bare = decode(encode(photo, photo.pages, "same", "strip"), LOTS)
    for name in ("icc", "dpi"):
        assert carried(bare)[name] == carried(photo)[name]
    assert bare.properties["orientation"] == photo.properties["orientation"]
    assert not any(carried(bare)[name] for name in ("xmp", "iptc", "comment", "segments", "appended"))
    data = encode(photo, photo.pages, "same", "strip")
    assert b"tram" not in data
    assert b"GPS" not in data

    placeless = encode(photo, photo.pages, "same", "strip-gps")
    assert b"GPS" not in placeless
    again = decode(placeless, LOTS)
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
def test_other_formats_take_over_what_they_can_hold(form):
    pytest.importorskip("pillow_heif")
    pytest.importorskip("pillow_jxl")
    for source in ("full.jpg", "rgb.tif", "16bit-rgb.tif", "cmyk.tif", "full.png", "16bit-rgba.png", "pages.tif"):
        photo = decode(next(kind for kind in PHOTO_KINDS if kind.name == source).make(), LOTS)
        try:
            data = encode(photo, photo.pages, form, "keep")
        except ImageError as error:
            assert error.code is ErrorCode.UNSUPPORTED_OUTPUT
            assert any(word in str(error) for word in ("pages", "bits per sample", "CMYK", "alpha channel", "profile"))
            continue
        again = decode(data, LOTS)
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


@pytest.mark.parametrize("policy", ["keep", "strip"])
@pytest.mark.parametrize(("form", "plugin"), [("bmp", "PIL"), ("jpeg2000", "PIL"), ("jxl:lossless=1", "pillow_jxl")])
def test_where_viewers_pass_over_the_orientation_the_photo_itself_is_turned(form, plugin, policy):
    pytest.importorskip(plugin)
    for orientation in range(1, 9):
        data = encode_image(make_corpus_photo(), "PNG", exif=make_exif(orientation))
        found = decode(data, LOTS)
        result = decode(encode(found, found.pages, form, policy), LOTS)
        with Image.open(io.BytesIO(data)) as image:
            shown = np.asarray(ImageOps.exif_transpose(image))
        np.testing.assert_array_equal(result.pixels.samples, shown)
        assert read_orientation(result.metadata.exif) == 1


@pytest.mark.parametrize("dpi", [(2, 2), (72, 36), (300, 300), (2400, 1200), (65535, 65535)])
def test_a_resolution_goes_into_jpeg_2000_and_comes_out_of_it(dpi):
    found = decode(encode_image(make_corpus_photo(), "PNG"), LOTS)
    scan = replace(found, metadata=Metadata(dpi=dpi))
    scan = decode(encode(scan, scan.pages, "jpeg2000", "keep"), LOTS)
    assert scan.metadata.dpi == pytest.approx(dpi, rel=0.01)
    for form in ("same", "tiff"):
        again = decode(encode(scan, scan.pages, form, "keep"), LOTS)
        assert again.metadata.dpi == pytest.approx(scan.metadata.dpi, rel=1e-3)
    turned = Metadata(exif=make_exif(6).removeprefix(b"Exif\0\0"), dpi=dpi)
    turned = encode(replace(found, metadata=turned), found.pages, "jpeg2000", "keep")
    assert decode(turned, LOTS).metadata.dpi == pytest.approx(scan.metadata.dpi[::-1])


def test_a_jpeg_2000_with_an_orientation_stays_as_it_is():
    carried = Metadata(exif=make_exif(6).removeprefix(b"Exif\0\0"))
    found = decode(jpeg2000.with_metadata(encode_image(make_corpus_photo(), "JPEG2000", mct=1), carried), LOTS)
    again = decode(encode(found, found.pages, "same", "keep"), LOTS)
    assert again.properties == found.properties | {"orientation": 6}
    np.testing.assert_array_equal(again.pixels.samples, found.pixels.samples)


def told_sizes(photo):
    """What EXIF and XMP of a decoded photo say of its size."""
    exif, packet = parse_exif_block(photo.metadata.exif), photo.metadata.xmp
    tags = exif.tags | exif.children[EXIF_IFD].tags
    codes = [code for code in (PIXEL_X_DIMENSION, PIXEL_Y_DIMENSION, IMAGE_WIDTH) if code in tags]
    numbers = [int.from_bytes(tags[code].data, "little") for code in codes]
    return numbers, [int(number) for number in re.findall(rb'(?:="|>)(\d+)["<]', packet)]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_photo_that_is_enlarged_or_turned_says_its_new_size(kind):
    size = {
        PIXEL_X_DIMENSION: Tag(3, 1, struct.pack("<H", 48)),
        PIXEL_Y_DIMENSION: Tag(4, 1, struct.pack("<I", 36)),
    }
    block = Ifd("<", {IMAGE_WIDTH: Tag(3, 1, struct.pack("<H", 48))}, {EXIF_IFD: Ifd("<", size)})
    block.tags[ORIENTATION] = Tag(3, 1, struct.pack("<H", 6))
    packet = b'<x exif:PixelXDimension="48" exif:PixelYDimension="36"><tiff:ImageWidth>48</tiff:ImageWidth></x>'
    carried = Metadata(exif=block.to_exif_block(), xmp=packet)
    plain = decode(encode_image(make_corpus_photo(), "PNG"), LOTS)
    found = decode(encode(replace(plain, metadata=carried), plain.pages, kind.lower(), "keep"), LOTS)
    assert told_sizes(found) == ([48, 36, 48][: 2 + (kind != "TIFF")], [48, 36, 48])
    large = Pixels(np.zeros((72, 96, 3), np.uint8))
    for form in ("same", "tiff"):
        again = decode(encode(found, large, form, "keep"), LOTS)
        numbers, told = told_sizes(again)
        assert numbers[:2] == [96, 72]
        assert told == [96, 72, 96]
    turned = decode(encode(found, large, "jpeg2000", "keep"), LOTS)
    assert told_sizes(turned)[0][:2] == [72, 96]
    assert told_sizes(turned)[1] == [72, 96, 72]


def test_a_tag_that_cannot_hold_a_new_size_stays_as_it_is():
    block = Ifd("<", {IMAGE_WIDTH: Tag(3, 1, struct.pack("<H", 40_000))}).to_exif_block()
    assert with_integers(block, {IMAGE_WIDTH: 80_000}) == block
    assert with_integers(block, {IMAGE_WIDTH: 60_000}) != block
    for end in range(len(block)):
        assert len(with_integers(block[:end], {IMAGE_WIDTH: 60_000})) == end


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt"])
@pytest.mark.parametrize("resources", [False, True])
def test_iptc_comes_out_of_a_png_and_stays_where_coordinates_go(kind, resources):
    records = photoshop.pack_iptc(IPTC) if resources else IPTC
    text = b"\niptc\n%8d\n" % len(records) + records.hex().encode() + b"\n"
    rest = b"\0" + zlib.compress(text) if kind == b"zTXt" else text
    data = png_chunks.with_metadata(
        encode_image(make_corpus_photo(), "PNG"),
        Metadata(blocks=(MetadataBlock(kind, b"Raw profile type iptc\0" + rest),)),
    )
    before = decode(data, LOTS)
    assert before.metadata.iptc == IPTC
    kept = encode(before, before.pages, "same", "keep")
    assert rest in kept and kept.count(b"Raw profile type iptc") == 1
    for form, policy in (("same", "strip-gps"), ("tiff", "keep"), ("jpeg", "keep")):
        assert decode(encode(before, before.pages, form, policy), LOTS).metadata.iptc == IPTC
    assert decode(encode(before, before.pages, "same", "strip"), LOTS).metadata.iptc is None


def test_raw_profiles_that_are_none_are_passed_over():
    for junk in (b"", b"\niptc\n  3\nxyz", b"\0\0\xff", b"\niptc\n 4\n" + b"8BIM".hex().encode()):
        blocks = (
            MetadataBlock(b"tEXt", b"Raw profile type iptc\0" + junk),
            MetadataBlock(b"zTXt", b"Raw profile type 8bim\0\0" + junk),
        )
        data = png_chunks.with_metadata(encode_image(make_corpus_photo(), "PNG"), Metadata(blocks=blocks))
        assert decode(data, LOTS).metadata.iptc is None


def test_exif_goes_into_a_tiff_and_comes_out_of_it():
    photo = decode(encode_tagged_jpeg(), LOTS)
    page = decode(encode(photo, photo.pages, "tiff", "keep"), LOTS)
    back = decode(encode(page, page.pages, "jpeg", "keep"), LOTS)
    before, after = parse_exif_block(photo.metadata.exif), parse_exif_block(back.metadata.exif)
    assert after.children == before.children
    assert {code: after.tags[code] for code in before.tags} == before.tags


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("jpeg:quality=40,subsampling=4:2:0,progressive=1", {"progressive": 1}),
        ("tiff:compression=deflate,tile=32", {"compression": "tiff_adobe_deflate"}),
    ],
)
def test_options_of_formats(form, expected):
    photo = decode(encode_image(make_corpus_photo(), "PNG"), LOTS)
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
def test_a_result_is_called_what_it_is(key, form, expected):
    photo = decode(next(kind for kind in PHOTO_KINDS if kind.name == "rgb.jp2").make(), LOTS)
    assert add_format_extension(key, form, photo) == expected


def test_the_table_of_the_docs_is_what_the_corpus_gives():
    pytest.importorskip("pillow_heif")
    pytest.importorskip("pillow_jxl")
    page = photos_table.PAGE.read_text(encoding="utf-8")
    assert page.split(photos_table.BEGIN)[1].split(photos_table.END)[0] == photos_table.format_table(), (
        "python -m tests.support.photos_table writes it anew"
    )
