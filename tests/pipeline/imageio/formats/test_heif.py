"""HEIF of 10 and 12 bits; grey and CICP colours of AVIF and HEIF."""

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
MAX_PIXELS = 10**9


def lossless(samples, mode):
    """A file of just these samples, by the plugin alone."""
    size = (samples.shape[1], samples.shape[0])
    with io.BytesIO() as sink:
        made = heif.from_bytes(mode, size, np.ascontiguousarray(samples).tobytes())
        made.save(sink, quality=-1, chroma=444, matrix_coefficients=0)
        return sink.getvalue()


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
@pytest.mark.parametrize("bits", [10, 12])
def test_decode_reads_every_sample(channels, mode, bits):
    samples = make_16bit_samples(channels) >> (16 - bits)
    found = decode(lossless(samples, f"{mode};{bits}"), MAX_PIXELS)
    assert found.properties["bit_depth"] == bits
    read = found.pixels.samples if found.pixels.alpha is None else np.dstack([found.pixels.samples, found.pixels.alpha])
    np.testing.assert_array_equal(from_uint16(read, bits), samples)


def test_encode_of_a_soft_ramp_keeps_more_than_8_bits():
    ramp = np.tile(np.linspace(20_000, 24_000, 512).astype(np.uint16)[:, None], (64, 1, 3))
    first = decode(encode_image(make_corpus_photo(), "PNG"), MAX_PIXELS)
    first.properties["bit_depth"] = 12
    found = decode(encode(first, Pixels(ramp), "heif:quality=98", "keep"), MAX_PIXELS)
    assert found.properties["bit_depth"] == 12
    assert len(np.unique(found.pixels.samples)) > 4 * 17, "17 values of 8 bits are there"
    assert np.abs(found.pixels.samples.astype(int) - ramp).mean() < 64


def test_encode_of_16_bits_refuses():
    found = decode(encode_image(make_corpus_photo(), "PNG"), MAX_PIXELS)
    found.properties["bit_depth"] = 16
    with pytest.raises(ImageError, match="its 16 bits per sample would be cut") as caught:
        encode(found, Pixels(make_16bit_samples(3)), "heif", "keep")
    assert caught.value.code is ErrorCode.UNSUPPORTED_OUTPUT


def test_encode_keeps_orientation_and_alpha():
    first = decode(encode_image(make_cutout(), "PNG", exif=make_exif(6)), MAX_PIXELS)
    first.properties["bit_depth"] = 10
    wide = Pixels(first.pixels.samples.astype(np.uint16) * 257, first.pixels.alpha.astype(np.uint16) * 257)
    found = decode(encode(first, wide, "heif", "keep"), MAX_PIXELS)
    assert (found.pixels.width, found.pixels.height) == (wide.height, wide.width), "turned upright"
    turned = wide.apply_orientation(6)
    assert np.abs(found.pixels.alpha.astype(int) - turned.alpha).mean() < 300
    assert np.abs(found.pixels.samples.astype(int) - turned.samples)[turned.alpha > 60_000].mean() < 1500


@pytest.mark.parametrize(("form", "bits"), [("avif", 8), ("heif", 8), ("heif", 10)])
@pytest.mark.parametrize("mode", ["L", "LA"])
def test_encode_keeps_grey_grey(form, bits, mode):
    first = decode(encode_image(make_cutout(mode).resize((96, 72)), "PNG"), MAX_PIXELS)
    pixels = first.pixels
    if bits > 8:
        wide = None if pixels.alpha is None else pixels.alpha.astype(np.uint16) * 257
        pixels = Pixels(pixels.samples.astype(np.uint16) * 257, wide)
    first.properties["bit_depth"] = bits
    found = decode(encode(first, pixels, form, "keep"), MAX_PIXELS)
    again = decode(encode(found, found.pages, "same", "keep"), MAX_PIXELS)
    for each in (found, again):
        assert each.pixels.samples.shape == (72, 96, 1)
        assert (each.pixels.alpha is None) == (mode == "L")
        assert each.properties["bit_depth"] == bits
    assert np.abs(again.pixels.samples.astype(int) - found.pixels.samples).mean() < 3 * found.pixels.max_value / 255


def test_decode_of_colours_with_alpha_keeps_them():
    found = decode(encode_image(make_cutout().resize((96, 72)), "AVIF", quality=90), MAX_PIXELS)
    assert found.pixels.samples.shape == (72, 96, 3)


def test_decode_of_display_p3_numbers_makes_its_profile():
    found = decode(encode_p3_avif(), MAX_PIXELS)
    samples = np.random.default_rng(0).integers(150, 256, (9, 9, 3), dtype=np.uint8)
    ours, theirs = (load_colour_space(each, 3).to_srgb(samples) for each in (found.metadata.icc, DISPLAY_P3))
    assert found.pixels.colour_space is not None
    assert np.abs(ours - theirs).max() < 0.02, "gamma 2.2 there, the curve of sRGB here"
    assert decode(encode(found, found.pages, "same", "keep"), MAX_PIXELS).metadata.icc == found.metadata.icc


def test_decode_of_high_dynamic_range_heif_refuses():
    data = encode_high_bit_depth_heif(3, 10)
    place = data.index(b"colrnclx") + 8
    with pytest.raises(ImageError, match="high dynamic range") as caught:
        decode(data[:place] + struct.pack(">HH", 9, 16) + data[place + 4 :], MAX_PIXELS)
    assert (caught.value.code, caught.value.code.skipped) == (ErrorCode.UNSUPPORTED_MODE, True)
