"""Coordinates leave Photoshop resources and XMP of every kind; names of places and everything else stay."""

import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.imageio.image_file import decode, encode
from pipeline.imageio.metadata.photoshop import ImageResource, pack_iptc, strip_resources_gps
from pipeline.imageio.metadata.xmp import strip_xmp_gps
from tests.support.image_files import XMP, encode_image, make_corpus_photo, make_exif

LOTS = 10**9
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


def test_resources_without_coordinates_are_the_rest_of_them():
    found = strip_resources_gps(ALL)
    assert all(each.to_bytes() in found for each in KEPT)
    assert all(each in ALL and each not in found for each in COORDINATES)
    assert b"box 17" in found and b"Street with a tram" in found, "EXIF and XMP lose their coordinates alone"
    assert strip_resources_gps(found) == found
    assert pack_iptc(PLACES) == KEPT[0].to_bytes()


@pytest.mark.parametrize("junk", [b"", b"8BIM", ALL[:-3], b"\0" + ALL, ALL + b"more", b"8BIM\4\4\0\0\xff\xff\xff\xff"])
def test_what_cannot_be_read_is_not_kept(junk):
    assert strip_resources_gps(junk) is None


@pytest.mark.parametrize("data", [jpeg(ALL), jpeg(ALL[:40], ALL[40:]), tiff(ALL)], ids=["JPEG", "two segments", "TIFF"])
def test_a_photo_is_as_good_as_its_resources(data):
    before = decode(data, LOTS)
    assert b"GPS" in encode(before, before.pages, "same", "keep")
    found = encode(before, before.pages, "same", "strip-gps")
    assert all(each.to_bytes() in found for each in KEPT)
    assert not any(each in found for each in COORDINATES)
    assert decode(found, LOTS).metadata.iptc == (PLACES if before.properties["format"] == "JPEG" else None)


def test_iptc_stays_where_the_other_resources_cannot_be_read():
    before = decode(jpeg(ALL + b"more"), LOTS)
    found = encode(before, before.pages, "same", "strip-gps")
    assert decode(found, LOTS).metadata.iptc == PLACES
    assert not any(each in found for each in COORDINATES)


@pytest.mark.parametrize(
    "located",
    [
        b'<rdf:Description drone-dji:GpsLatitude="+52.5" drone-dji:GpsLongtitude="+13.4" dc:source="box 17"/>',
        b"<rdf:Description dc:source='box 17'><geo:lat>52.5</geo:lat><geo:long>13.4</geo:long></rdf:Description>",
        b'<rdf:Description dwc:decimalLatitude="52.5" dwc:decimalLongitude="13.4" dc:source="box 17"/>',
        b'<rdf:li rdf:parseType="Resource"><Iptc4xmpExt:City>Berlin, box 17</Iptc4xmpExt:City>'
        b"<exif:GPSLatitude>52,31.5N</exif:GPSLatitude><exif:GPSAltitude rdf:value='52.5'/></rdf:li>",
    ],
)
def test_coordinates_of_every_vocabulary_leave_xmp(located):
    found = strip_xmp_gps(located + b"<rdf:Alt><rdf:li>exposure latitude, at length</rdf:li></rdf:Alt>")
    assert b"box 17" in found and b"<rdf:Alt><rdf:li>exposure latitude, at length</rdf:li></rdf:Alt>" in found
    assert b"52" not in found and b"13.4" not in found


def test_xmp_that_cannot_be_cleaned_is_not_kept():
    assert strip_xmp_gps(b"<x:note>taken by GPS at 52.5</x:note>") is None
    assert strip_xmp_gps('<x a:GPSLatitude="52.5"/>'.encode("utf-16-le")) is None


def test_strip_takes_all_resources():
    image = decode(jpeg(ALL), LOTS)
    with Image.open(io.BytesIO(encode(image, image.pages, "same", "strip"))) as bare:
        assert "photoshop" not in bare.info
