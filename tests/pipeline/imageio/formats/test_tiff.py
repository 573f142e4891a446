"""TIFF: tags and samples that other readers get wrong."""

import io
import struct
import tracemalloc
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.image_file import decode, encode
from pipeline.imageio.metadata.ifd import ORIENTATION, parse_exif_block
from tests.scenarios.test_untrusted_input import tile_bomb
from tests.support.image_corpus import PHOTO_KINDS
from tests.support.image_files import (
    ORIENTATION_XMP,
    encode_image,
    encode_tiff,
    make_16bit_samples,
    make_cmyka_samples,
    make_corpus_photo,
    make_cutout,
)

MAX_PIXELS = 10**9


@pytest.mark.parametrize("samples", [np.asarray(make_corpus_photo()), make_16bit_samples(3)], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize(
    ("tags", "orientation"),
    [
        ([(700, 1, len(ORIENTATION_XMP), ORIENTATION_XMP, True)], 1),
        ([(700, 1, len(ORIENTATION_XMP), ORIENTATION_XMP, True), (274, 3, 1, 1, True)], 1),
        ([(700, 1, len(ORIENTATION_XMP), ORIENTATION_XMP, True), (274, 3, 1, 8, True)], 8),
        ([(274, 4, 1, 6, True)], 6),
    ],
    ids=["ORIENTATION_XMP alone", "ORIENTATION_XMP that differs", "ORIENTATION_XMP that differs more", "of 32 bits"],
)
def test_decode_returns_stored_pixels_whatever_the_orientation(samples, tags, orientation):
    found = decode(encode_tiff(samples, extratags=tags), MAX_PIXELS)
    np.testing.assert_array_equal(found.pixels.samples, samples)
    assert (found.properties["orientation"], found.properties["width"]) == (orientation, 48)
    again = decode(encode(found, found.pages, "same", "keep"), MAX_PIXELS)
    np.testing.assert_array_equal(again.pixels.samples, samples)
    assert again.properties == found.properties
    other = decode(encode(found, found.pages, "png", "keep"), MAX_PIXELS)
    assert other.properties["orientation"] == orientation
    if orientation != 1:
        assert parse_exif_block(other.metadata.exif).tags[ORIENTATION].field_type == 3, (
            "as viewers of other formats want it"
        )


def kinds(array, *extra):
    return {"array": array, "extrasamples": list(extra), "planarconfig": "contig"}


GREY, COLOUR = np.asarray(make_corpus_photo("L"))[:, :, None], np.asarray(make_corpus_photo())
MORE = {
    "RGB and one": kinds(np.dstack([COLOUR, GREY]), "unspecified") | {"photometric": "rgb"},
    "RGB and two": kinds(np.dstack([COLOUR, GREY, GREY]), "unspecified", "unspecified") | {"photometric": "rgb"},
    "RGBA and one": kinds(np.dstack([COLOUR, GREY, GREY]), "unassalpha", "unspecified") | {"photometric": "rgb"},
    "grey and one": kinds(np.dstack([GREY, GREY]), "unspecified") | {"photometric": "minisblack"},
    "CMYK and one": kinds(make_cmyka_samples(), "unspecified") | {"photometric": "separated"},
    "inks by alpha": kinds(make_cmyka_samples(), "assocalpha") | {"photometric": "separated"},
    "planes": kinds(np.moveaxis(np.dstack([COLOUR, GREY]), -1, 0), "unspecified")
    | {"photometric": "rgb", "planarconfig": "separate"},
}


@pytest.mark.parametrize("wide", [False, True], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize("name", MORE)
def test_decode_of_extra_channels_refuses(name, wide):
    given = MORE[name] | {"array": MORE[name]["array"].astype(np.uint16) * 257 if wide else MORE[name]["array"]}
    with pytest.raises(ImageError) as caught:
        decode(encode_tiff(**given), MAX_PIXELS)
    assert caught.value.code is ErrorCode.UNSUPPORTED_MODE


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite", "separated"])
def test_encode_keeps_alpha_of_grey_and_cmyk(photometric, depth):
    array = (np.asarray(make_cutout("LA")) if photometric.startswith("minis") else make_cmyka_samples()).astype(depth)
    if photometric == "miniswhite" and depth is np.uint8:
        return  # Pillow has no mode for it
    given = encode_tiff(array, photometric, extrasamples=["unassalpha"], planarconfig="contig")
    found = decode(given, MAX_PIXELS)
    colours = np.iinfo(depth).max - array[:, :, :-1] if photometric == "miniswhite" else array[:, :, :-1]
    np.testing.assert_array_equal(found.pixels.samples, colours)
    np.testing.assert_array_equal(found.pixels.alpha, array[:, :, -1])
    again = decode(encode(found, found.pages, "same", "keep"), MAX_PIXELS)
    np.testing.assert_array_equal(again.pixels.alpha, array[:, :, -1])
    assert again.properties == found.properties


@pytest.mark.parametrize("name", ["16bit-grey-alpha.png", "grey-alpha.png", "16bit-rgba.png"])
def test_encode_as_tiff_can_be_decoded(name):
    found = decode(next(kind for kind in PHOTO_KINDS if kind.name == name).make(), MAX_PIXELS)
    again = decode(encode(found, found.pages, "tiff", "keep"), MAX_PIXELS)
    np.testing.assert_array_equal(again.pixels.samples, found.pixels.samples)
    np.testing.assert_array_equal(again.pixels.alpha, found.pixels.alpha)
    assert again.properties["mode"] == found.properties["mode"]


@pytest.mark.parametrize("bits", [8, 16])
def test_decode_counts_the_pixels_of_large_tiles(bits):
    with pytest.raises(ImageError, match="2048 × 2048 pixels are more than") as caught:
        decode(tile_bomb(2048, bits), 10**6)
    assert caught.value.code is ErrorCode.TOO_LARGE
    found = decode(tile_bomb(512, bits), 10**6)
    result = encode(found, found.pages, "same", "keep")
    with tifffile.TiffFile(io.BytesIO(result)) as file:
        assert (file.pages[0].tilewidth, file.pages[0].tilelength) == (16, 16), "no larger than the page"
    assert decode(result, 10**6).properties == found.properties


HUGE = 4294967295
PHYS = b"pHYs" + struct.pack(">IIB", HUGE, HUGE, 1)


@pytest.mark.parametrize("unit", [2, 3])
@pytest.mark.parametrize("form", ["same", "png", "jpeg", "tiff", "webp", "bmp", "jpeg2000"])
def test_decode_ignores_an_implausible_resolution(form, unit):
    page = encode_tiff(COLOUR, resolution=((HUGE, 1), (HUGE, 1)), resolutionunit=unit)
    picture = encode_image(make_corpus_photo(), "PNG", dpi=(72, 72))
    place = picture.index(b"pHYs")
    picture = picture[:place] + PHYS + struct.pack(">I", zlib.crc32(PHYS)) + picture[place + 17 :]
    for data in (page, picture):
        found = decode(data, MAX_PIXELS)
        assert found.metadata.dpi is None
        again = decode(encode(found, found.pages, form, "keep"), MAX_PIXELS)
        assert again.metadata.dpi is None or form == "bmp", "BMP cannot be without; Pillow writes 96"
        assert again.pixels.width == found.pixels.width


def test_encode_drops_layers_of_the_original():
    data = encode_tiff(COLOUR, extratags=[(37724, 7, 20, b"Adobe Photoshop Doc\0", True)])
    found = decode(data, MAX_PIXELS)
    with tifffile.TiffFile(io.BytesIO(encode(found, found.pages, "same", "keep"))) as file:
        assert 37724 not in file.pages[0].tags


def test_decode_of_a_codec_with_its_own_size_refuses():
    content = bytes(imagecodecs.jpeg2k_encode(np.zeros((600, 600), np.uint16), 0, reversible=True))
    entries = [(256, 3, 16), (257, 3, 16), (258, 3, 16), (259, 3, 34712), (262, 3, 1), (277, 3, 1), (278, 3, 16)]
    entries += [(273, 4, 8 + 2 + 12 * 9 + 4), (279, 4, len(content))]
    directory = b"".join(struct.pack("<HHII", code, kind, 1, value) for code, kind, value in sorted(entries))
    with pytest.raises(ImageError, match=r"compression JPEG2000 \(34712\)") as caught:
        decode(b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4) + content, 1000)
    assert caught.value.code is ErrorCode.UNSUPPORTED_MODE


def test_encode_takes_memory_for_one_more_copy_at_most():
    samples = np.zeros((1000, 1000, 3), np.uint16)
    found = decode(encode_tiff(samples), MAX_PIXELS)
    tracemalloc.start()
    result = encode(found, found.pages, "same", "keep")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(result) <= peak < 2.2 * samples.nbytes


def test_damaged_tiff_with_a_codec_that_is_read_is_damaged():
    data = bytearray(encode_tiff(np.asarray(make_corpus_photo()), compression="zlib"))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        start = file.pages[0].dataoffsets[0]
    data[start + 4 : start + 40] = bytes(36)
    with pytest.raises(ImageError) as caught:
        decode(bytes(data), MAX_PIXELS)
    assert caught.value.code is ErrorCode.DAMAGED
