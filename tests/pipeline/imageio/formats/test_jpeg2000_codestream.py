"""JPEG 2000 files are written with the tiles, layers, progression and wavelet that they had."""

import re
import struct
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.formats.isobmff import pack_box
from pipeline.imageio.formats.jpeg2000_codestream import read_coding_style
from pipeline.imageio.image_file import check_writable, decode, encode
from tests.support.icc_profiles import make_cmyk_profile
from tests.support.image_files import encode_image, make_16bit_samples, make_corpus_photo
from tests.support.image_tools import run_tool
from tests.support.photos import make_photo

MAX_PIXELS = 10**9
PHOTO = make_photo(1, 200, 150)
STYLES = {
    "one tile": {},
    "tiles": {"tile_size": (64, 64)},
    "tiles of other sides": {"tile_size": (100, 30), "num_resolutions": 3},
    "a tile larger than the photo": {"tile_size": (512, 512)},
    "layers": {"quality_layers": [20, 5, 1]},
    "twelve layers": {"quality_layers": [2 ** ((11 - layer) / 2) for layer in range(12)]},
    "one resolution": {"num_resolutions": 1},
    "precincts": {"precinct_size": (64, 64), "progression": "RPCL"},
    "precincts and small code-blocks": {"precinct_size": (128, 64), "codeblock_size": (32, 16)},
    "code-blocks": {"codeblock_size": (16, 128), "progression": "CPRL"},
    "packet lengths": {"plt": True, "progression": "PCRL", "tile_size": (128, 128)},
    "resolution first": {"progression": "RLCP"},
    "lossy": {"irreversible": True, "quality_mode": "dB", "quality_layers": [40]},
    "lossy layers": {"irreversible": True, "quality_mode": "dB", "quality_layers": [25, 30, 35, 40]},
    "an access copy": {
        "tile_size": (128, 128),
        "num_resolutions": 4,
        "precinct_size": (64, 64),
        "progression": "RPCL",
        "quality_layers": [20, 1],
    },
}


def describe(data, path):
    """What opj_dump shows of the main header, without where in the file things are."""
    path.write_bytes(data)
    shown = run_tool("opj_dump", "-i", path).decode()
    found = re.findall(
        r"\b(?:tdx|tdy|tw|th|csty|prg|numlayers|mct|numresolutions|cblkw|cblkh|qmfbid)=[\w^]+|preccint.*", shown
    )
    assert found
    return found


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("name", STYLES)
def test_encode_as_same_keeps_the_coding(name, raw, tmp_path):
    data = encode_image(PHOTO, "JPEG2000", mct=1, no_jp2=raw, **STYLES[name])
    found = decode(data, MAX_PIXELS)
    result = encode(found, found.pages, "same", "keep")
    assert read_coding_style(result) == read_coding_style(data)
    suffix = "j2k" if raw else "jp2"
    assert describe(result, tmp_path / f"a.{suffix}") == describe(data, tmp_path / f"b.{suffix}")
    if "irreversible" not in STYLES[name]:
        np.testing.assert_array_equal(decode(result, MAX_PIXELS).pixels.samples, found.pixels.samples)


def test_encode_as_same_keeps_the_coding_of_16_bit_grey(tmp_path):
    image = Image.fromarray(make_16bit_samples(1)[:, :, 0])
    data = encode_image(image, "JPEG2000", **STYLES["tiles"])
    found = decode(data, MAX_PIXELS)
    result = encode(found, found.pages, "same", "keep")
    assert describe(result, tmp_path / "a.jp2") == describe(data, tmp_path / "b.jp2")
    np.testing.assert_array_equal(decode(result, MAX_PIXELS).pixels.samples, found.pixels.samples)


@pytest.mark.parametrize("name", ["one tile", "one resolution", "lossy"])
def test_encode_as_same_of_16_bit_colours_keeps_wavelet_and_levels_at_most(name):
    lossy = "irreversible" in STYLES[name]
    levels = STYLES[name].get("num_resolutions", 5)
    samples = np.asarray(PHOTO).astype(np.uint16) * 257
    data = imagecodecs.jpeg2k_encode(samples, 60 if lossy else 0, reversible=not lossy, resolutions=levels)
    found = decode(bytes(data), MAX_PIXELS)
    before, after = (read_coding_style(each) for each in (bytes(data), encode(found, found.pages, "same", "keep")))
    assert replace(after, layers=1) == replace(before, layers=1)


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (48, 36)])
@pytest.mark.parametrize("tile", [None, (64, 64), (512, 512)])
def test_encode_as_same_of_small_photos(size, tile):
    options = {"tile_size": tile, "num_resolutions": 6} if tile else {}
    found = decode(encode_image(PHOTO.resize(size), "JPEG2000", mct=1, **options), MAX_PIXELS)
    result = encode(found, found.pages, "same", "keep")
    np.testing.assert_array_equal(decode(result, MAX_PIXELS).pixels.samples, found.pixels.samples)


@pytest.mark.parametrize("content", [b"", b"\xff\x52\0\x04\0\0", b"\xff\x52\0\0"])
def test_read_coding_style_of_a_header_without_it_raises(content):
    data = encode_image(make_corpus_photo(), "JPEG2000")
    start = data.index(b"\xff\x52")
    with pytest.raises(ValueError, match="no coding style"):
        read_coding_style(data[:start] + content)


def with_colours(data, box, *more):
    """A JP2 file with another colour box."""
    start = data.index(b"colr") - 4
    old = data[start : start + int.from_bytes(data[start : start + 4])]
    head = data.index(b"jp2h") - 4
    new = pack_box(b"colr", box) + b"".join(more)
    size = int.from_bytes(data[head : head + 4]) + len(new) - len(old)
    return data[:head] + struct.pack(">I", size) + data[head + 4 : start] + new + data[start + len(old) :]


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("box", [b"\1\0\0\0\0\0\x0c", b"\2\0\0" + make_cmyk_profile()])
def test_decode_of_cmyk_reads_inks_and_encode_refuses_before_the_work(bits, box):
    inks = make_16bit_samples(4) >> (16 - bits)
    inks = inks.astype(np.uint8) if bits == 8 else inks
    data = bytes(imagecodecs.jpeg2k_encode(inks, 0, codecformat="jp2", reversible=True, mct=False))
    found = decode(with_colours(data, box), MAX_PIXELS)
    assert found.pixels.alpha is None
    np.testing.assert_array_equal(found.pixels.samples, inks)
    assert (found.pixels.colour_space is not None) == (box[:1] == b"\2")
    with pytest.raises(ImageError, match="it is CMYK; supported by jpeg and tiff") as caught:
        check_writable(found, "same")
    assert caught.value.code is ErrorCode.UNSUPPORTED_OUTPUT
    again = decode(encode(found, found.pages, "tiff", "keep"), MAX_PIXELS)
    np.testing.assert_array_equal(again.pixels.samples, inks)


@pytest.mark.parametrize("space", [1, 11, 13, 14, 20, 21])
def test_decode_of_unknown_colour_spaces_refuses(space):
    data = with_colours(encode_image(make_corpus_photo(), "JPEG2000"), b"\1\0\0" + struct.pack(">I", space))
    with pytest.raises(ImageError, match=f"enumerated colour space {space}") as caught:
        decode(data, MAX_PIXELS)
    assert caught.value.code is ErrorCode.UNSUPPORTED_MODE


def test_decode_of_premultiplied_alpha_refuses():
    rgba = bytes(imagecodecs.jpeg2k_encode(np.full((9, 9, 4), 9, np.uint8), 0, codecformat="jp2"))
    definition = struct.pack(">H12H", 4, 0, 0, 1, 1, 0, 2, 2, 0, 3, 3, 2, 0)
    box = rgba[rgba.index(b"colr") + 4 :][:7]
    data = with_colours(rgba, box, pack_box(b"cdef", definition))
    with pytest.raises(ImageError, match="premultiplied") as caught:
        decode(data, MAX_PIXELS)
    assert caught.value.code is ErrorCode.UNSUPPORTED_MODE
