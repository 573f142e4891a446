"""Orientations of HEIF and AVIF: in EXIF, in properties (irot, imir), or in both."""

import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from pipeline.imageio.formats.heif_items import has_orientation_property, read_stored_exif
from pipeline.imageio.image_file import decode, encode
from pipeline.imageio.metadata.ifd import make_orientation_exif, read_orientation, with_stated_orientation
from pipeline.imageio.metadata.metadata import EXIF_HEADER
from tests.support.image_files import encode_high_bit_depth_heif, encode_image, make_corpus_photo, make_exif
from tests.support.image_tools import decode_with_imagemagick, run_tool

pytest.importorskip("pillow_heif")
MAX_PIXELS = 10**9
PHOTO = make_corpus_photo().resize((8, 6)).resize((48, 36), Image.Resampling.BICUBIC)  # without noise
CODES = 0x0112, 0xC0DE  # the orientation, and a code that encoders pass over
TAG, PLACEHOLDER = (struct.pack("<HHI", code, 3, 1) for code in CODES)
BIG_ENDIAN_TAG, BIG_ENDIAN_PLACEHOLDER = (struct.pack(">HHI", code, 3, 1) for code in CODES)
KINDS = ["HEIF", "AVIF", "HEIF of 10 bits"]


def make_exif_block(orientation):
    """An EXIF block whose orientation encoders do not see, before `reveal`."""
    return EXIF_HEADER + make_orientation_exif(orientation).replace(TAG, PLACEHOLDER)


def reveal(data):
    assert PLACEHOLDER in data or BIG_ENDIAN_PLACEHOLDER in data
    return data.replace(PLACEHOLDER, TAG).replace(BIG_ENDIAN_PLACEHOLDER, BIG_ENDIAN_TAG)


def make_unturned(kind, orientation):
    """A file whose EXIF states an orientation, and whose properties do not."""
    exif = make_exif_block(orientation)
    if kind == "HEIF of 10 bits":
        return reveal(encode_high_bit_depth_heif(3, 10, exif=exif.removeprefix(EXIF_HEADER)))
    return reveal(encode_image(PHOTO, kind, quality=95, exif=exif))


def turn(samples, orientation):
    image = Image.fromarray(samples)
    image.getexif()[0x0112] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


def mean_error(one, other):
    assert one.shape == other.shape
    return np.abs(one.astype(int) - other).mean()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", KINDS)
def test_exif_orientation_without_property_turns_the_result(kind, orientation, tmp_path):
    data = make_unturned(kind, orientation)
    assert not has_orientation_property(data)
    assert read_orientation(read_stored_exif(data)) == orientation
    found = decode(data, MAX_PIXELS)
    assert found.properties["orientation"] == orientation
    assert found.pixels.width == 48, "as stored"
    expected = turn(found.pixels.to_rgb8(), orientation)
    result = encode(found, found.pages, "same", "keep")
    again = decode(result, MAX_PIXELS)
    upright = again.pixels.apply_orientation(again.properties["orientation"])
    assert mean_error(upright.to_rgb8(), expected) < 6
    png = encode(found, found.pages, "png", "keep")
    assert decode(png, MAX_PIXELS).properties["orientation"] == orientation
    if kind == "HEIF of 10 bits" and orientation in (2, 4, 5, 7):
        return  # libheif 1.15 and older cannot show these
    path = tmp_path / ("result.avif" if kind == "AVIF" else "result.heic")
    path.write_bytes(result)
    run_tool("heif-convert", path, tmp_path / "shown.png")
    with Image.open(tmp_path / "shown.png") as shown:
        assert mean_error(np.asarray(shown.convert("RGB")), expected) < 6, "viewers turn it by its properties"


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_property_prevails_over_exif(kind, orientation, tmp_path):
    """Phones write both; decoders obey the property alone."""
    exif = Image.Exif()
    exif[0x0112], exif[0xC0DE] = orientation, orientation
    data = encode_image(PHOTO, kind, quality=95, exif=exif.tobytes())
    data = reveal(data) if kind == "AVIF" else data
    assert has_orientation_property(data)
    found = decode(data, MAX_PIXELS)
    expected = turn(np.asarray(PHOTO), orientation)
    result = encode(found, found.pages, "same", "keep")
    for each in (found, decode(result, MAX_PIXELS)):
        upright = each.pixels.apply_orientation(each.properties["orientation"])
        assert mean_error(upright.to_rgb8(), expected) < 6
    (tmp_path / "result.heic").write_bytes(result)
    assert mean_error(decode_with_imagemagick(tmp_path / "result.heic"), expected) < 6


@pytest.mark.parametrize("block", [None, make_orientation_exif(3), make_exif(6).removeprefix(EXIF_HEADER)])
def test_with_stated_orientation_states_it(block):
    assert read_orientation(with_stated_orientation(block, 8)) == 8
    unstated = make_orientation_exif(3).replace(TAG, PLACEHOLDER)
    assert read_orientation(with_stated_orientation(unstated, 8)) == 8


def test_xmp_orientation_without_property_turns_the_result():
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="6"/></x:xmpmeta>'
    data = encode_image(PHOTO, "HEIF", quality=95, xmp=xmp.replace(b"tiff:O", b"tiff:X"))
    found = decode(data.replace(b"tiff:X", b"tiff:O"), MAX_PIXELS)
    assert found.properties["orientation"] == 6
    again = decode(encode(found, found.pages, "same", "keep"), MAX_PIXELS)
    assert mean_error(again.pixels.to_rgb8(), turn(found.pixels.to_rgb8(), 6)) < 6


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_damaged_items_are_no_items(kind):
    data = make_unturned(kind, 6)
    for end in range(0, data.index(b"mdat"), 7):
        assert not has_orientation_property(data[:end])
        read_stored_exif(data[:end])
