"""Adobe RGB that a photo states by EXIF alone: its colours stay, whatever becomes of the EXIF."""

import io
import json
import shutil
import struct
import subprocess

import imagecodecs
import numpy as np
import pytest
import tifffile

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.image_file import decode, encode
from pipeline.imageio.metadata.exif_profile import profile_from_exif
from pipeline.imageio.metadata.ifd import EXIF_IFD, INTEROP_IFD, Ifd, Tag, parse_exif_block
from tests.support.icc_profiles import ADOBE_RGB, DISPLAY_P3
from tests.support.image_files import encode_image, encode_tiff, make_16bit_samples, make_corpus_photo
from tests.support.jpeg_files import encode_adobe_rgb_jpeg, make_adobe_rgb_exif

MAX_PIXELS = 10**9


def to_srgb(samples, profile):
    values = (samples / np.float32(255)).astype(np.float32)
    srgb = imagecodecs.cms_profile("srgb")
    return imagecodecs.cms_transform(
        values, profile, srgb, colorspace="rgb", outcolorspace="rgb", outdtype="float32"
    ).clip(0, 1)


def test_profile_has_the_colours_of_adobe_rgb():
    steps = np.linspace(0, 255, 9)
    samples = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(27, 27, 3)
    profile = decode(encode_adobe_rgb_jpeg(), MAX_PIXELS).metadata.icc
    np.testing.assert_allclose(to_srgb(samples, profile), to_srgb(samples, ADOBE_RGB), atol=1 / 255)


@pytest.mark.parametrize("byte_order", "<>")
@pytest.mark.parametrize(
    ("index", "colour_space", "is_adobe_rgb"),
    [
        (b"R03\0", 65535, True),
        (b"R03", 65535, True),
        (b"r03 \0", 65535, True),
        (b"R03\0", None, True),
        (b"R03\0", 2, True),
        (None, 2, True),
        (b"R03\0", 1, False),
        (b"R98\0", 65535, False),
        (b"R98\0", 1, False),
        (b"THM\0", 65535, False),
        (None, 65535, False),
        (None, None, False),
    ],
)
def test_jpeg_has_the_profile_that_its_exif_states(index, colour_space, is_adobe_rgb, byte_order):
    data = encode_adobe_rgb_jpeg(index=index, colour_space=colour_space, byte_order=byte_order)
    photo = decode(data, MAX_PIXELS)
    assert photo.properties["has_icc"] is is_adobe_rgb
    assert (photo.pixels.colour_space is not None) is is_adobe_rgb


@pytest.mark.parametrize("policy", ["keep", "strip-gps", "strip"])
@pytest.mark.parametrize("form", ["same", "png", "tiff", "webp:lossless=1", "avif", "jpeg2000", "bmp"])
def test_result_carries_the_profile_under_every_policy(form, policy):
    photo = decode(encode_adobe_rgb_jpeg(), MAX_PIXELS)
    again = decode(encode(photo, photo.pages, form, policy), MAX_PIXELS)
    assert again.metadata.icc == photo.metadata.icc is not None
    shown, meant = again.pixels.to_rgb8().astype(int), to_srgb(photo.pixels.samples, ADOBE_RGB) * 255
    if again.properties["width"] != photo.properties["width"]:
        meant = photo.pixels.apply_orientation(6).to_rgb8()
    assert np.abs(shown - meant).mean() < (8 if form in ("same", "avif") else 1)
    if policy == "strip":
        kept = parse_exif_block(again.metadata.exif) if again.metadata.exif else Ifd("<")
        assert EXIF_IFD not in kept.children


def test_jxl_is_refused_as_it_cannot_hold_the_profile():
    pytest.importorskip("pillow_jxl")
    photo = decode(encode_adobe_rgb_jpeg(), MAX_PIXELS)
    with pytest.raises(ImageError, match="its colours need its ICC profile") as caught:
        encode(photo, photo.pages, "jxl", "keep")
    assert caught.value.code is ErrorCode.UNSUPPORTED_OUTPUT


def test_profile_of_the_file_wins_and_grey_and_cmyk_have_none():
    data = encode_image(make_corpus_photo(), "JPEG", exif=make_adobe_rgb_exif(), icc_profile=DISPLAY_P3)
    assert decode(data, MAX_PIXELS).metadata.icc == DISPLAY_P3
    for mode in ("L", "CMYK"):
        data = encode_image(make_corpus_photo(mode), "JPEG", exif=make_adobe_rgb_exif())
        assert decode(data, MAX_PIXELS).metadata.icc is None


def add_exif(data, exif):
    """A TIFF whose first page has an EXIF directory that follows the file."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tag = file.pages[0].tags[65000]
    patched = bytearray(data)
    struct.pack_into("<HHII", patched, tag.offset, EXIF_IFD, 4, 1, len(data))
    return bytes(patched) + exif.to_bytes(len(data))


@pytest.mark.parametrize("policy", ["keep", "strip-gps", "strip"])
@pytest.mark.parametrize("samples", [np.asarray(make_corpus_photo()), make_16bit_samples(3)], ids=["8 bits", "16 bits"])
def test_tiff_has_the_profile_that_its_exif_states(samples, policy):
    exif = Ifd("<", {0xA001: Tag(3, 1, b"\xff\xff")}, {INTEROP_IFD: Ifd("<", {1: Tag(2, 4, b"R03\0")})})
    photo = decode(add_exif(encode_tiff(samples, extratags=[(65000, 4, 1, 0, True)]), exif), MAX_PIXELS)
    assert photo.pixels.colour_space is not None
    again = decode(encode(photo, photo.pages, "same", policy), MAX_PIXELS)
    assert again.metadata.icc == photo.metadata.icc == profile_from_exif(Ifd("<", {}, {EXIF_IFD: exif}))
    np.testing.assert_array_equal(again.pixels.samples, samples)


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="ExifTool is not installed")
@pytest.mark.parametrize("form", ["same", "png", "tiff"])
def test_exiftool_finds_the_primaries_of_adobe_rgb_in_a_stripped_result(form, tmp_path):
    photo = decode(encode_adobe_rgb_jpeg(), MAX_PIXELS)
    (tmp_path / "result").write_bytes(encode(photo, photo.pages, form, "strip"))
    command = ["exiftool", "-json", "-n", "-ICC_Profile:all", str(tmp_path / "result")]
    (tags,) = json.loads(subprocess.check_output(command))
    found = [tags[f"{name}MatrixColumn"].split() for name in ("Red", "Green", "Blue")]
    # columns of Adobe RGB (1998) in the profile connection space, from its specification
    meant = [[0.60974, 0.31111, 0.01947], [0.20528, 0.62567, 0.06087], [0.14919, 0.06322, 0.74457]]
    np.testing.assert_allclose(np.array(found, float), meant, atol=0.0005)
    assert tags["MediaWhitePoint"]
