"""What is known of a photo after it has been examined."""

import io

import numpy as np
import pytest
from PIL import Image

from deepot.forensics import DegradationKind
from pipeline.imageio import decode
from pipeline.inspection import examine_photo
from pipeline.inspection.photo_facts import read_jpeg_coding
from tests.support.photos import make_photo
from tests.support.synthetic_photos import degrade, encode_jpeg, make_dead_leaves

MAX_PIXELS = 10**7


def examine(data):
    return examine_photo("a/b.jpg", decode(data, MAX_PIXELS))


def encode(image, kind, **options):
    with io.BytesIO() as file:
        image.save(file, kind, **options)
        return file.getvalue()


def test_examine_photo_of_a_jpeg_has_its_quality_orientation_and_profile():
    exif = Image.Exif()
    exif[0x0112] = 6
    facts = examine(encode_jpeg(make_photo(1, 120, 80), 35, exif=exif))
    assert (facts.key, facts.format, facts.width, facts.height) == ("a/b.jpg", "JPEG", 120, 80)
    assert (facts.bit_depth, facts.colour, facts.pages, facts.is_rotated) == (8, "colour", 1, True)
    assert (facts.has_alpha, facts.has_icc, facts.jpeg_quality) == (False, False, 35)
    assert (facts.degradation.kind, facts.degradation.strength) == (DegradationKind.JPEG, 35)
    assert facts.scores.sharpness is not None


def test_examine_photo_finds_a_degradation_in_a_png():
    facts = examine(encode(degrade(make_dead_leaves(2), "noise:sigma=15"), "PNG"))
    assert facts.jpeg_quality is None
    assert facts.degradation.kind is DegradationKind.NOISE
    assert facts.degradation.strength == pytest.approx(15, rel=0.1)


@pytest.mark.parametrize(
    ("image", "kind", "bits", "colour"),
    [
        (Image.new("L", (1, 1), 7), "PNG", 8, "grey"),
        (Image.new("RGB", (300, 200), 7), "PNG", 8, "colour"),
        (Image.new("CMYK", (90, 70), 7), "TIFF", 8, "CMYK"),
        (Image.fromarray(np.arange(6400, dtype=np.uint16).reshape(80, 80)), "TIFF", 16, "grey"),
    ],
)
def test_examine_photo_takes_every_kind_of_samples(image, kind, bits, colour):
    facts = examine(encode(image, kind))
    assert (facts.format, facts.bit_depth, facts.colour) == (kind, bits, colour)


@pytest.mark.parametrize(("subsampling", "expected"), [(0, False), (1, True), (2, True)])
def test_read_jpeg_coding_shows_whether_colours_are_subsampled(subsampling, expected):
    photo = decode(encode_jpeg(make_photo(1), 60, subsampling=subsampling), MAX_PIXELS)
    coding = read_jpeg_coding(photo)
    assert (coding.quality, coding.is_chroma_subsampled) == (60, expected)


def test_read_jpeg_coding_of_grey_and_cmyk_files_is_not_subsampled():
    for mode in ("L", "CMYK"):
        coding = read_jpeg_coding(decode(encode_jpeg(make_photo(1).convert(mode), 60), MAX_PIXELS))
        assert (coding.quality, coding.is_chroma_subsampled) == (60, False)


def test_read_jpeg_coding_of_other_formats_is_none():
    assert read_jpeg_coding(decode(encode(make_photo(1), "PNG"), MAX_PIXELS)) is None
