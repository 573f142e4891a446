"""Datasets with coordinates leave IPTC records."""

import struct

import pytest

from pipeline.imageio.image_file import decode, encode
from pipeline.imageio.metadata.iptc import strip_iptc_location
from pipeline.imageio.metadata.photoshop import pack_iptc
from tests.support.growth import assert_linear
from tests.support.image_files import IPTC, encode_image, encode_tiff, make_16bit_samples, make_corpus_photo
from tests.support.jpeg_files import make_jpeg_segment

LOCATED = b"\x1c\x02\x78" + struct.pack(">H", 21) + b"taken at GPS 52.5163N"
CITY = b"\x1c\x02\x5a" + struct.pack(">H", 6) + b"Berlin"
RESOURCES = pack_iptc(CITY + LOCATED)
LONG = b"\x1c\x02\x78" + struct.pack(">HI", 0x8004, 40_000) + b"a street" * 5000


@pytest.mark.parametrize("located", [LOCATED, LOCATED.replace(b"taken at GPS 52.5163N", b"geo:52.5163,13.377701")])
def test_strip_iptc_location_removes_datasets_with_coordinates(located):
    assert strip_iptc_location(IPTC + located + CITY + LONG) == IPTC + CITY + LONG
    assert strip_iptc_location(located) is None


@pytest.mark.parametrize("rest", [b"", b"\0\0\0", b"\x1c\x02\x78\xff\xffcut off"])
def test_strip_iptc_location_keeps_everything_else(rest):
    assert strip_iptc_location(IPTC + CITY + LONG + rest) == IPTC + CITY + LONG + rest
    assert strip_iptc_location(IPTC + rest + b"at 52.5163 by GPS") is None


def test_strip_iptc_location_takes_steps_in_proportion_to_the_records():
    assert_linear(strip_iptc_location, lambda n: LOCATED * n + b"\x1c\x02\x78\0\0" * n, 200)


@pytest.mark.parametrize(
    "data",
    [
        encode_image(make_corpus_photo(), "JPEG", extra=make_jpeg_segment(0xED, b"Photoshop 3.0\0" + RESOURCES)),
        encode_tiff(make_16bit_samples(3), extratags=[(33723, 7, len(CITY + LOCATED), CITY + LOCATED, True)]),
        encode_tiff(
            make_16bit_samples(3),
            extratags=[(34377, 7, len(RESOURCES), RESOURCES, True)],
        ),
    ],
    ids=["JPEG", "TIFF", "TIFF resources"],
)
def test_encode_with_strip_gps_cleans_iptc_of_every_container(data):
    found = decode(data, 10**9)
    clean = encode(found, found.pages, "same", "strip-gps")
    assert b"52.5163" in data and b"52.5163" not in clean and b"Berlin" in clean
