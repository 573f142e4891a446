"""Results are shown upright, and state the size that they have."""

import io
import re
import struct
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageOps

from deepot.photo.pixels import Pixels
from pipeline.imageio.image_file import decode, encode
from pipeline.imageio.metadata.ifd import (
    EXIF_IFD,
    IMAGE_WIDTH,
    ORIENTATION,
    PIXEL_X_DIMENSION,
    PIXEL_Y_DIMENSION,
    Ifd,
    Tag,
    parse_exif_block,
    read_orientation,
)
from pipeline.imageio.metadata.metadata import Metadata
from tests.support.image_files import encode_image, make_corpus_photo, make_exif

MAX_PIXELS = 10**9


@pytest.mark.parametrize("policy", ["keep", "strip"])
@pytest.mark.parametrize(("form", "plugin"), [("bmp", "PIL"), ("jpeg2000", "PIL"), ("jxl:lossless=1", "pillow_jxl")])
def test_encode_as_format_without_orientation_turns_the_pixels(form, plugin, policy):
    pytest.importorskip(plugin)
    for orientation in range(1, 9):
        data = encode_image(make_corpus_photo(), "PNG", exif=make_exif(orientation))
        found = decode(data, MAX_PIXELS)
        result = decode(encode(found, found.pages, form, policy), MAX_PIXELS)
        with Image.open(io.BytesIO(data)) as image:
            shown = np.asarray(ImageOps.exif_transpose(image))
        np.testing.assert_array_equal(result.pixels.samples, shown)
        assert read_orientation(result.metadata.exif) == 1


def read_stated_sizes(photo):
    """The sizes that EXIF and XMP of a decoded photo state."""
    exif, packet = parse_exif_block(photo.metadata.exif), photo.metadata.xmp
    tags = exif.tags | exif.children[EXIF_IFD].tags
    codes = [code for code in (PIXEL_X_DIMENSION, PIXEL_Y_DIMENSION, IMAGE_WIDTH) if code in tags]
    numbers = [int.from_bytes(tags[code].data, "little") for code in codes]
    return numbers, [int(number) for number in re.findall(rb'(?:="|>)(\d+)["<]', packet)]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_encode_of_enlarged_or_turned_photo_states_the_new_size(kind):
    size = {
        PIXEL_X_DIMENSION: Tag(3, 1, struct.pack("<H", 48)),
        PIXEL_Y_DIMENSION: Tag(4, 1, struct.pack("<I", 36)),
    }
    block = Ifd("<", {IMAGE_WIDTH: Tag(3, 1, struct.pack("<H", 48))}, {EXIF_IFD: Ifd("<", size)})
    block.tags[ORIENTATION] = Tag(3, 1, struct.pack("<H", 6))
    packet = b'<x exif:PixelXDimension="48" exif:PixelYDimension="36"><tiff:ImageWidth>48</tiff:ImageWidth></x>'
    carried = Metadata(exif=block.to_exif_block(), xmp=packet)
    plain = decode(encode_image(make_corpus_photo(), "PNG"), MAX_PIXELS)
    found = decode(encode(replace(plain, metadata=carried), plain.pages, kind.lower(), "keep"), MAX_PIXELS)
    assert read_stated_sizes(found) == ([48, 36, 48][: 2 + (kind != "TIFF")], [48, 36, 48])
    large = Pixels(np.zeros((72, 96, 3), np.uint8))
    for form in ("same", "tiff"):
        again = decode(encode(found, large, form, "keep"), MAX_PIXELS)
        numbers, told = read_stated_sizes(again)
        assert numbers[:2] == [96, 72]
        assert told == [96, 72, 96]
    turned = decode(encode(found, large, "jpeg2000", "keep"), MAX_PIXELS)
    assert read_stated_sizes(turned)[0][:2] == [72, 96]
    assert read_stated_sizes(turned)[1] == [72, 96, 72]
