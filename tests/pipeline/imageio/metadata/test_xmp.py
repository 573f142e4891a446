"""Coordinates leave XMP of every vocabulary."""

import pytest

from pipeline.imageio.metadata.xmp import strip_xmp_gps

MAX_PIXELS = 10**9


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
def test_strip_xmp_gps_removes_coordinates_of_every_vocabulary(located):
    found = strip_xmp_gps(located + b"<rdf:Alt><rdf:li>exposure latitude, at length</rdf:li></rdf:Alt>")
    assert b"box 17" in found and b"<rdf:Alt><rdf:li>exposure latitude, at length</rdf:li></rdf:Alt>" in found
    assert b"52" not in found and b"13.4" not in found


def test_strip_xmp_gps_of_unclean_packet_returns_none():
    assert strip_xmp_gps(b"<x:note>taken by GPS at 52.5</x:note>") is None
    assert strip_xmp_gps('<x a:GPSLatitude="52.5"/>'.encode("utf-16-le")) is None
