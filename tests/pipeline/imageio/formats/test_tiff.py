"""TIFF: the tags and samples that are read wrongly where one believes other readers."""

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

LOTS = 10**9


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
def test_pixels_stay_as_they_are_stored_whatever_says_how_to_turn_them(samples, tags, orientation):
    found = decode(encode_tiff(samples, extratags=tags), LOTS)
    np.testing.assert_array_equal(found.pixels.samples, samples)
    assert (found.properties["orientation"], found.properties["width"]) == (orientation, 48)
    again = decode(encode(found, found.pages, "same", "keep"), LOTS)
    np.testing.assert_array_equal(again.pixels.samples, samples)
    assert again.properties == found.properties
    other = decode(encode(found, found.pages, "png", "keep"), LOTS)
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
def test_channels_that_a_result_would_be_without_are_no_ok_row(name, wide):
    given = MORE[name] | {"array": MORE[name]["array"].astype(np.uint16) * 257 if wide else MORE[name]["array"]}
    with pytest.raises(ImageError) as caught:
        decode(encode_tiff(**given), LOTS)
    assert caught.value.code is ErrorCode.UNSUPPORTED_MODE


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite", "separated"])
def test_grey_and_inks_keep_their_alpha(photometric, depth):
    array = (np.asarray(make_cutout("LA")) if photometric.startswith("minis") else make_cmyka_samples()).astype(depth)
    if photometric == "miniswhite" and depth is np.uint8:
        return  # Pillow has no mode for it
    given = encode_tiff(array, photometric, extrasamples=["unassalpha"], planarconfig="contig")
    found = decode(given, LOTS)
    colours = np.iinfo(depth).max - array[:, :, :-1] if photometric == "miniswhite" else array[:, :, :-1]
    np.testing.assert_array_equal(found.pixels.samples, colours)
    np.testing.assert_array_equal(found.pixels.alpha, array[:, :, -1])
    again = decode(encode(found, found.pages, "same", "keep"), LOTS)
    np.testing.assert_array_equal(again.pixels.alpha, array[:, :, -1])
    assert again.properties == found.properties


@pytest.mark.parametrize("name", ["16bit-grey-alpha.png", "grey-alpha.png", "16bit-rgba.png"])
def test_what_is_written_as_tiff_is_read_again(name):
    found = decode(next(kind for kind in PHOTO_KINDS if kind.name == name).make(), LOTS)
    again = decode(encode(found, found.pages, "tiff", "keep"), LOTS)
    np.testing.assert_array_equal(again.pixels.samples, found.pixels.samples)
    np.testing.assert_array_equal(again.pixels.alpha, found.pixels.alpha)
    assert again.properties["mode"] == found.properties["mode"]


@pytest.mark.parametrize("bits", [8, 16])
def test_tiles_count_as_what_they_take(bits):
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
def test_resolutions_that_no_photo_has_stop_nothing(form, unit):
    page = encode_tiff(COLOUR, resolution=((HUGE, 1), (HUGE, 1)), resolutionunit=unit)
    picture = encode_image(make_corpus_photo(), "PNG", dpi=(72, 72))
    place = picture.index(b"pHYs")
    picture = picture[:place] + PHYS + struct.pack(">I", zlib.crc32(PHYS)) + picture[place + 17 :]
    for data in (page, picture):
        found = decode(data, LOTS)
        assert found.metadata.dpi is None
        again = decode(encode(found, found.pages, form, "keep"), LOTS)
        assert again.metadata.dpi is None or form == "bmp", "BMP cannot be without; Pillow writes 96"
        assert again.pixels.width == found.pixels.width


def test_layers_of_the_photo_as_it_was_are_dropped():
    data = encode_tiff(COLOUR, extratags=[(37724, 7, 20, b"Adobe Photoshop Doc\0", True)])
    found = decode(data, LOTS)
    with tifffile.TiffFile(io.BytesIO(encode(found, found.pages, "same", "keep"))) as file:
        assert 37724 not in file.pages[0].tags


def test_a_codec_that_says_its_own_size_is_none_of_a_small_page():
    content = bytes(imagecodecs.jpeg2k_encode(np.zeros((600, 600), np.uint16), 0, reversible=True))
    entries = [(256, 3, 16), (257, 3, 16), (258, 3, 16), (259, 3, 34712), (262, 3, 1), (277, 3, 1), (278, 3, 16)]
    entries += [(273, 4, 8 + 2 + 12 * 9 + 4), (279, 4, len(content))]
    directory = b"".join(struct.pack("<HHII", code, kind, 1, value) for code, kind, value in sorted(entries))
    with pytest.raises(ImageError, match="compression 34712") as caught:
        decode(b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4) + content, 1000)
    assert caught.value.code is ErrorCode.UNSUPPORTED_MODE


def test_writing_holds_the_samples_and_the_file_and_for_a_moment_one_more_copy():
    samples = np.zeros((1000, 1000, 3), np.uint16)
    found = decode(encode_tiff(samples), LOTS)
    tracemalloc.start()
    result = encode(found, found.pages, "same", "keep")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(result) <= peak < 2.2 * samples.nbytes
