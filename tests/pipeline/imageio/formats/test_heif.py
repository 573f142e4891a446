"""HEIF of 10 and 12 bits, and colours that AVIF and HEIF name by numbers."""

import io
import struct

import numpy as np
import pytest

from deepot.photo.icc import load_colour_space
from deepot.photo.pixels import Pixels
from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.image_file import decode, encode
from pipeline.imageio.sample_arrays import from_uint16
from tests.support.icc_profiles import DISPLAY_P3
from tests.support.image_files import (
    encode_high_bit_depth_heif,
    encode_image,
    encode_p3_avif,
    make_16bit_samples,
    make_corpus_photo,
    make_cutout,
    make_exif,
)

heif = pytest.importorskip("pillow_heif")
LOTS = 10**9


def lossless(samples, mode):
    """A file of just these samples, by the plugin alone."""
    size = (samples.shape[1], samples.shape[0])
    with io.BytesIO() as sink:
        made = heif.from_bytes(mode, size, np.ascontiguousarray(samples).tobytes())
        made.save(sink, quality=-1, chroma=444, matrix_coefficients=0)
        return sink.getvalue()


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
@pytest.mark.parametrize("bits", [10, 12])
def test_every_sample_is_read(channels, mode, bits):
    samples = make_16bit_samples(channels) >> (16 - bits)
    found = decode(lossless(samples, f"{mode};{bits}"), LOTS)
    assert found.properties["bit_depth"] == bits
    read = found.pixels.samples if found.pixels.alpha is None else np.dstack([found.pixels.samples, found.pixels.alpha])
    np.testing.assert_array_equal(from_uint16(read, bits), samples)


def test_a_soft_ramp_keeps_more_than_8_bits():
    ramp = np.tile(np.linspace(20_000, 24_000, 512).astype(np.uint16)[:, None], (64, 1, 3))
    first = decode(encode_image(make_corpus_photo(), "PNG"), LOTS)
    first.properties["bit_depth"] = 12
    found = decode(encode(first, Pixels(ramp), "heif:quality=98", "keep"), LOTS)
    assert found.properties["bit_depth"] == 12
    assert len(np.unique(found.pixels.samples)) > 4 * 17, "17 values of 8 bits are there"
    assert np.abs(found.pixels.samples.astype(int) - ramp).mean() < 64


def test_16_bits_do_not_go_into_12():
    found = decode(encode_image(make_corpus_photo(), "PNG"), LOTS)
    found.properties["bit_depth"] = 16
    with pytest.raises(ImageError, match="its 16 bits per sample would be cut") as caught:
        encode(found, Pixels(make_16bit_samples(3)), "heif", "keep")
    assert caught.value.code is ErrorCode.UNSUPPORTED_OUTPUT


def test_orientation_and_transparency_go_along():
    first = decode(encode_image(make_cutout(), "PNG", exif=make_exif(6)), LOTS)
    first.properties["bit_depth"] = 10
    wide = Pixels(first.pixels.samples.astype(np.uint16) * 257, first.pixels.alpha.astype(np.uint16) * 257)
    found = decode(encode(first, wide, "heif", "keep"), LOTS)
    assert (found.pixels.width, found.pixels.height) == (wide.height, wide.width), "turned upright"
    turned = wide.apply_orientation(6)
    assert np.abs(found.pixels.alpha.astype(int) - turned.alpha).mean() < 300
    assert np.abs(found.pixels.samples.astype(int) - turned.samples)[turned.alpha > 60_000].mean() < 1500


@pytest.mark.parametrize(("form", "bits"), [("avif", 8), ("heif", 8), ("heif", 10)])
@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_stays_grey(form, bits, mode):
    first = decode(encode_image(make_cutout(mode).resize((96, 72)), "PNG"), LOTS)
    pixels = first.pixels
    if bits > 8:
        wide = None if pixels.alpha is None else pixels.alpha.astype(np.uint16) * 257
        pixels = Pixels(pixels.samples.astype(np.uint16) * 257, wide)
    first.properties["bit_depth"] = bits
    found = decode(encode(first, pixels, form, "keep"), LOTS)
    again = decode(encode(found, found.pages, "same", "keep"), LOTS)
    for each in (found, again):
        assert each.pixels.samples.shape == (72, 96, 1)
        assert (each.pixels.alpha is None) == (mode == "L")
        assert each.properties["bit_depth"] == bits
    assert np.abs(again.pixels.samples.astype(int) - found.pixels.samples).mean() < 3 * found.pixels.max_value / 255


def test_colours_beside_grey_transparency_stay():
    found = decode(encode_image(make_cutout().resize((96, 72)), "AVIF", quality=90), LOTS)
    assert found.pixels.samples.shape == (72, 96, 3)


def test_numbers_of_display_p3_are_its_profile():
    found = decode(encode_p3_avif(), LOTS)
    samples = np.random.default_rng(0).integers(150, 256, (9, 9, 3), dtype=np.uint8)
    ours, theirs = (load_colour_space(each, 3).to_srgb(samples) for each in (found.metadata.icc, DISPLAY_P3))
    assert found.pixels.colour_space is not None
    assert np.abs(ours - theirs).max() < 0.02, "gamma 2.2 there, the curve of sRGB here"
    assert decode(encode(found, found.pages, "same", "keep"), LOTS).metadata.icc == found.metadata.icc


def test_high_dynamic_range_is_left_alone():
    data = encode_high_bit_depth_heif(3, 10)
    place = data.index(b"colrnclx") + 8
    with pytest.raises(ImageError, match="high dynamic range") as caught:
        decode(data[:place] + struct.pack(">HH", 9, 16) + data[place + 4 :], LOTS)
    assert (caught.value.code, caught.value.code.skipped) == (ErrorCode.UNSUPPORTED_MODE, True)
