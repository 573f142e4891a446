"""PNGs that state their colours by gamma and chromaticities."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.formats import png_chunks
from pipeline.imageio.image_file import decode, encode
from pipeline.imageio.metadata.profile_builder import D65, SRGB_PRIMARIES
from tests.support.image_files import encode_image

MAX_PIXELS = 10**9
P3 = (0.68, 0.32, 0.265, 0.69, 0.15, 0.06)


pack = png_chunks._pack_chunk


def gama(value):
    return pack(b"gAMA", struct.pack(">I", value))


def chrm(primaries=SRGB_PRIMARIES, white=D65):
    return pack(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in (*white, *primaries))))


SRGB = pack(b"sRGB", b"\0")


def grey_png(value, *chunks, mode="RGB"):
    colour = value if mode == "L" else (value,) * 3
    data = encode_image(Image.new(mode, (16, 12), colour), "PNG")
    return data[:33] + b"".join(chunks) + data[33:]


def seen(data):
    """The mean colour as the network sees it, in sRGB, of 255."""
    return 255 * decode(data, MAX_PIXELS).pixels.to_rgb().numpy().mean(axis=(0, 2, 3))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.5])
def test_gamma_is_applied_on_the_way_in(gamma, mode):
    linear = (128 / 255) ** gamma
    expected = 255 * (1.055 * linear ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(seen(grey_png(128, gama(round(100_000 / gamma)), mode=mode)), expected, atol=1)


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [gama(45455)],
        [gama(45455), chrm()],
        [gama(100_000), SRGB],
        [SRGB, chrm(P3)],
        [gama(0)],
        [gama(2**32 - 1)],
        [pack(b"gAMA", b"abc")],
        [pack(b"cHRM", bytes(32))],
        [chrm((0.3, 0.3) * 3)],
        [pack(b"cHRM", b"short")],
    ],
    ids=[
        "none",
        "2.2",
        "sRGB by numbers",
        "sRGB and gamma",
        "sRGB and P3",
        "gamma 0",
        "gamma 0.00002",
        "short gamma",
        "zeros",
        "no triangle",
        "short",
    ],
)
def test_numbers_of_srgb_and_impossible_ones_change_nothing(chunks):
    photo = decode(grey_png(128, *chunks), MAX_PIXELS)
    assert photo.metadata.icc is None and photo.pixels.colour_space is None


def test_chromaticities_are_applied_on_the_way_in():
    data = encode_image(Image.new("RGB", (16, 12), (200, 60, 60)), "PNG")
    wide = data[:33] + gama(45455) + chrm(P3) + data[33:]
    red, plain = seen(wide), seen(data)
    assert red[0] > plain[0] + 10 and red[1] < plain[1] - 10, "the same numbers are a stronger red in Display P3"


@pytest.mark.parametrize("form", ["same", "tiff", "jpeg", "webp", "png"])
def test_result_shows_the_colours_that_gamma_and_chromaticities_state(form):
    data = grey_png(128, gama(100_000), chrm(P3))
    photo = decode(data, MAX_PIXELS)
    for policy in ("keep", "strip-gps", "strip"):
        result = encode(photo, photo.pages, form, policy)
        np.testing.assert_allclose(seen(result), seen(data), atol=2)
        if form in ("same", "png"):
            kinds = [kind for kind, _ in png_chunks.iter_chunks(result)]
            assert {b"gAMA", b"cHRM", b"iCCP"} <= set(kinds) if form == "same" else b"iCCP" in kinds


@pytest.mark.parametrize(("form", "mode"), [("jxl", "RGB"), ("bmp", "L")])
def test_formats_without_profiles_refuse_such_colours(form, mode):
    pytest.importorskip("pillow_jxl")
    photo = decode(grey_png(128, gama(100_000), mode=mode), MAX_PIXELS)
    with pytest.raises(ImageError, match="ICC profile") as caught:
        encode(photo, photo.pages, form, "keep")
    assert caught.value.code is ErrorCode.UNSUPPORTED_OUTPUT


def test_profile_overrides_gamma():
    icc = decode(grey_png(128, gama(55_556)), MAX_PIXELS).metadata.icc
    assert icc
    data = grey_png(128, gama(100_000), pack(b"iCCP", b"name\0\0" + zlib.compress(icc)))
    assert decode(data, MAX_PIXELS).metadata.icc == icc
