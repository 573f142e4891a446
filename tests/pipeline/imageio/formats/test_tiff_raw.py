"""Raw photos are told from TIFFs, whatever they are called."""

import struct

import numpy as np
import pytest
import tifffile

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.image_file import decode
from tests.support.image_files import encode_tiff, make_corpus_photo

MAX_PIXELS = 10**9
THUMBNAIL = np.asarray(make_corpus_photo())[::4, ::4].copy()
SENSOR = np.arange(96 * 64, dtype=np.uint16).reshape(64, 96)
CFA, LINEAR_RAW = 32803, 34892
DNG_VERSION = (50706, 1, 4, (1, 4, 0, 0), True)


def make_raw(path, sub_photometric=CFA, tags=(), *, bigtiff=False, byteorder="<", preview=True):
    """A file as cameras write them: a preview, and the samples of the sensor in a subdirectory."""
    with tifffile.TiffWriter(path, bigtiff=bigtiff, byteorder=byteorder) as writer:
        common = {"metadata": None, "software": False}
        writer.write(THUMBNAIL, photometric="rgb", subfiletype=int(preview), subifds=1, extratags=tags, **common)
        samples = np.dstack([SENSOR] * 3) if sub_photometric in ("rgb", LINEAR_RAW) else SENSOR
        writer.write(samples, photometric=sub_photometric, subfiletype=0, **common)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"tags": [DNG_VERSION]}, "DNG"),
        ({"tags": [DNG_VERSION], "sub_photometric": LINEAR_RAW}, "DNG"),
        ({"tags": [(271, 2, 0, "NIKON CORPORATION", True)]}, "of a camera by NIKON CORPORATION"),
        ({"tags": [(271, 2, 0, "SONY", True)], "byteorder": ">"}, "of a camera by SONY"),
        ({}, "of a camera"),
        ({"bigtiff": True}, "of a camera"),
        ({"preview": False}, "of a camera"),
        ({"sub_photometric": "rgb"}, "of a camera"),
    ],
    ids=[
        "dng",
        "linear dng",
        "nef",
        "arw",
        "no maker",
        "bigtiff",
        "preview without its mark",
        "colour in a subdirectory",
    ],
)
def test_raw_photo_is_skipped_and_named(tmp_path, options, kind):
    with pytest.raises(ImageError, match=rf"it is a raw photo \({kind}\)") as caught:
        decode(make_raw(tmp_path / "photo.tif", **options), MAX_PIXELS)
    assert caught.value.code is ErrorCode.UNSUPPORTED_FORMAT


@pytest.mark.parametrize("photometric", [CFA, LINEAR_RAW])
def test_raw_samples_in_the_first_page_are_a_raw_photo(photometric):
    samples = SENSOR if photometric == CFA else np.dstack([SENSOR] * 3)
    with pytest.raises(ImageError, match="it is a raw photo"):
        decode(encode_tiff(samples, photometric), MAX_PIXELS)


def test_cr2_is_recognised_by_its_mark():
    """Its pages are a photo and previews of common kinds; only the mark behind the header tells."""
    data = bytearray(encode_tiff(np.asarray(make_corpus_photo())))
    (first,) = struct.unpack_from("<I", data, 4)
    moved = data[:4] + struct.pack("<I", len(data)) + b"CR\2\0" + data[12:]
    count = struct.unpack_from("<H", data, first)[0]
    moved += data[first : first + 2 + 12 * count + 4]
    with pytest.raises(ImageError, match="it is a raw photo"):
        decode(bytes(moved), MAX_PIXELS)


def test_tiff_with_a_reduced_image_in_a_subdirectory_is_a_photo(tmp_path):
    with tifffile.TiffWriter(tmp_path / "pyramid.tif") as writer:
        writer.write(np.asarray(make_corpus_photo()), photometric="rgb", subifds=1, metadata=None)
        writer.write(THUMBNAIL, photometric="rgb", subfiletype=1, metadata=None)
    assert decode((tmp_path / "pyramid.tif").read_bytes(), MAX_PIXELS).pixels.width == make_corpus_photo().width


def test_tiff_whose_only_page_is_marked_as_reduced_is_a_photo():
    data = encode_tiff(np.asarray(make_corpus_photo()), subfiletype=1)
    assert decode(data, MAX_PIXELS).pixels.width == make_corpus_photo().width
