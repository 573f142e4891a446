"""JPEG 2000: options hold for every bit depth, and a bare codestream stays one."""

from dataclasses import replace

import imagecodecs
import numpy as np
import pytest

from pipeline.imageio.formats import jpeg2000
from pipeline.imageio.image_file import add_format_extension, decode, encode
from pipeline.imageio.metadata.metadata import Metadata
from tests.support.image_files import encode_16bit_png, encode_image, make_16bit_samples, make_corpus_photo, make_exif
from tests.support.photos import make_photo

MAX_PIXELS = 10**9
CODESTREAM_START = b"\xff\x4f\xff\x51"


def large_photo(bits):
    """A decoded photo whose lossy file is governed by its PSNR, not by its header."""
    samples = np.asarray(make_photo(1, 320, 240, noise=4.0))
    if bits == 8:
        return decode(encode_image(make_photo(1, 320, 240, noise=4.0), "PNG"), MAX_PIXELS)
    data = imagecodecs.png_encode(samples.astype(np.uint16) * 257)
    photo = decode(bytes(data), MAX_PIXELS)
    photo.properties["bit_depth"] = bits
    return photo


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_encode_with_psnr_reaches_it_and_takes_more_bytes_for_a_higher_one(bits):
    photo = large_photo(bits)
    sizes = []
    for psnr in (30, 45, 60):
        data = encode(photo, photo.pages, f"jpeg2000:psnr={psnr}", "keep")
        found = decode(data, MAX_PIXELS)
        error = (found.pixels.samples.astype(float) - photo.pixels.samples) / photo.pixels.max_value
        assert -10 * np.log10((error**2).mean()) == pytest.approx(psnr, abs=4 if psnr < 60 else 12)
        assert not np.array_equal(found.pixels.samples, photo.pixels.samples)
        assert found.properties["bit_depth"] == bits
        sizes.append(len(data))
    assert sizes[0] < sizes[1] < sizes[2] < len(encode(photo, photo.pages, "jpeg2000", "keep"))


@pytest.mark.parametrize("bits", [9, 12, 16])
@pytest.mark.parametrize("reversible", [True, False])
def test_encode_as_same_keeps_a_raw_codestream_of_high_bit_depth(bits, reversible):
    samples = make_16bit_samples(3) >> (16 - bits)
    level = 0 if reversible else 70
    data = imagecodecs.jpeg2k_encode(samples, level, codecformat="j2k", bitspersample=bits, reversible=reversible)
    found = decode(bytes(data), MAX_PIXELS)
    result = encode(found, found.pages, "same", "keep")
    assert result.startswith(CODESTREAM_START)
    again = decode(result, MAX_PIXELS)
    assert again.properties == found.properties
    if reversible:
        np.testing.assert_array_equal(again.pixels.samples, found.pixels.samples)
    assert add_format_extension("scan.j2k", "same", found) == "scan.j2k"


def test_encode_as_same_keeps_a_raw_codestream_of_8_bits():
    found = decode(encode_image(make_corpus_photo(), "JPEG2000", no_jp2=True), MAX_PIXELS)
    result = encode(found, found.pages, "same", "keep")
    assert result.startswith(CODESTREAM_START)
    np.testing.assert_array_equal(decode(result, MAX_PIXELS).pixels.samples, found.pixels.samples)


@pytest.mark.parametrize("make", [lambda: encode_16bit_png(3), lambda: encode_image(make_corpus_photo(), "PNG")])
def test_encode_of_another_format_makes_a_jp2_file_with_metadata(make):
    photo = decode(make(), MAX_PIXELS)
    photo.metadata = type(photo.metadata)(exif=make_exif(1).removeprefix(b"Exif\0\0"))
    result = encode(photo, photo.pages, "jpeg2000", "keep")
    assert result.startswith(b"\0\0\0\x0cjP  ")
    assert decode(result, MAX_PIXELS).metadata.exif == photo.metadata.exif


@pytest.mark.parametrize("dpi", [(2, 2), (72, 36), (300, 300), (2400, 1200), (65535, 65535)])
def test_encode_keeps_the_resolution(dpi):
    found = decode(encode_image(make_corpus_photo(), "PNG"), MAX_PIXELS)
    scan = replace(found, metadata=Metadata(dpi=dpi))
    scan = decode(encode(scan, scan.pages, "jpeg2000", "keep"), MAX_PIXELS)
    assert scan.metadata.dpi == pytest.approx(dpi, rel=0.01)
    for form in ("same", "tiff"):
        again = decode(encode(scan, scan.pages, form, "keep"), MAX_PIXELS)
        assert again.metadata.dpi == pytest.approx(scan.metadata.dpi, rel=1e-3)
    turned = Metadata(exif=make_exif(6).removeprefix(b"Exif\0\0"), dpi=dpi)
    turned = encode(replace(found, metadata=turned), found.pages, "jpeg2000", "keep")
    assert decode(turned, MAX_PIXELS).metadata.dpi == pytest.approx(scan.metadata.dpi[::-1])


def test_encode_as_same_keeps_orientation_and_pixels():
    carried = Metadata(exif=make_exif(6).removeprefix(b"Exif\0\0"))
    found = decode(jpeg2000.with_metadata(encode_image(make_corpus_photo(), "JPEG2000", mct=1), carried), MAX_PIXELS)
    again = decode(encode(found, found.pages, "same", "keep"), MAX_PIXELS)
    assert again.properties == found.properties | {"orientation": 6}
    np.testing.assert_array_equal(again.pixels.samples, found.pixels.samples)
