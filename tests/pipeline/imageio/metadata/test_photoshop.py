"""Coordinates are removed from Photoshop resources; names of places and everything else stay."""

import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.imageio.image_file import decode, encode
from pipeline.imageio.metadata.photoshop import ImageResource, pack_iptc, strip_resources_gps
from tests.support.image_files import XMP, encode_image, make_corpus_photo, make_exif

MAX_PIXELS = 10**9
PLACES = b"\x1c\x02\x5a\x00\x06Berlin" + b"\x1c\x02\x65\x00\x07Germany"
KEPT = [
    ImageResource(b"8BIM", 0x0404, b"", PLACES),
    ImageResource(b"8BIM", 0x07D0, b"Path 1", b"a path"),
    ImageResource(b"MeSa", 1000, b"", b"x"),
]
LOCATED = [
    ImageResource(b"8BIM", 0x0422, b"", make_exif().removeprefix(b"Exif\0\0")),
    ImageResource(b"8BIM", 0x0423, b"", b"more of EXIF"),
    ImageResource(b"8BIM", 0x0424, b"", XMP),
    ImageResource(b"8BIM", 0x0FA0, b"", "of a plug-in: GPS 52.52".encode("utf-16-le")),
]
ALL = b"".join(each.to_bytes() for each in [LOCATED[0], *KEPT, *LOCATED[1:]])
COORDINATES = (b"GPS", b"52,31", b"G\0P\0S", struct.pack("<II", 52, 1), b"more of EXIF")


def segment(data):
    return b"\xff\xed" + struct.pack(">H", len(data) + 2) + data


def jpeg(*resources):
    return encode_image(
        make_corpus_photo(), "JPEG", extra=b"".join(segment(b"Photoshop 3.0\0" + each) for each in resources)
    )


def tiff(resources):
    with io.BytesIO() as file:
        tifffile.imwrite(
            file,
            np.asarray(make_corpus_photo()),
            extratags=[(34377, 7, len(resources), resources, True)],
            metadata=None,
        )
        return file.getvalue()


def test_strip_resources_gps_keeps_all_resources_without_coordinates():
    found = strip_resources_gps(ALL)
    assert all(each.to_bytes() in found for each in KEPT)
    assert all(each in ALL and each not in found for each in COORDINATES)
    assert b"box 17" in found and b"Street with a tram" in found, "EXIF and XMP lose their coordinates alone"
    assert strip_resources_gps(found) == found
    assert pack_iptc(PLACES) == KEPT[0].to_bytes()


@pytest.mark.parametrize("junk", [b"", b"8BIM", ALL[:-3], b"\0" + ALL, ALL + b"more", b"8BIM\4\4\0\0\xff\xff\xff\xff"])
def test_strip_resources_gps_of_unreadable_resources_returns_none(junk):
    assert strip_resources_gps(junk) is None


@pytest.mark.parametrize("data", [jpeg(ALL), jpeg(ALL[:40], ALL[40:]), tiff(ALL)], ids=["JPEG", "two segments", "TIFF"])
def test_encode_with_strip_gps_cleans_photoshop_resources(data):
    before = decode(data, MAX_PIXELS)
    assert b"GPS" in encode(before, before.pages, "same", "keep")
    found = encode(before, before.pages, "same", "strip-gps")
    assert all(each.to_bytes() in found for each in KEPT)
    assert not any(each in found for each in COORDINATES)
    assert decode(found, MAX_PIXELS).metadata.iptc == (PLACES if before.properties["format"] == "JPEG" else None)


def test_encode_with_strip_gps_keeps_iptc_of_unreadable_resources():
    before = decode(jpeg(ALL + b"more"), MAX_PIXELS)
    found = encode(before, before.pages, "same", "strip-gps")
    assert decode(found, MAX_PIXELS).metadata.iptc == PLACES
    assert not any(each in found for each in COORDINATES)


def test_encode_with_strip_drops_all_photoshop_resources():
    image = decode(jpeg(ALL), MAX_PIXELS)
    with Image.open(io.BytesIO(encode(image, image.pages, "same", "strip"))) as bare:
        assert "photoshop" not in bare.info
