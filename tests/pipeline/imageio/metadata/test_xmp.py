"""Coordinates leave XMP of every vocabulary."""

import pytest

from pipeline.imageio.metadata.xmp import strip_trailer_references, strip_xmp_gps

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


def test_strip_xmp_gps_returns_none_if_nothing_is_left():
    assert strip_xmp_gps(b"<x:note>taken by GPS at 52.5</x:note>") is None
    assert strip_xmp_gps('<x a:GPSLatitude="52.5"/>'.encode("utf-16-le")) is None
    assert strip_xmp_gps(b"<x xmlns:a='b'/>") == b"<x xmlns:a='b'/>"


DESCRIPTION = b"<rdf:RDF><rdf:Description dc:source='box 17' %b>%b</rdf:Description></rdf:RDF>"
DECLARED = b"xmlns:q='%b'"


@pytest.mark.parametrize(
    "located",
    [
        (b"", b"<georss:point>52.5 13.4</georss:point>"),
        (b"", b"<georss:where><gml:Point><gml:pos>52.5 13.4</gml:pos></gml:Point></georss:where>"),
        (b"geo:lat_long='52.5,13.4'", b""),
        (DECLARED % b"http://www.georss.org/georss", b"<q:line>52.5 13.4 52.6 13.5</q:line>"),
        (DECLARED % b"http://www.opengis.net/gml/3.2", b"<q:posList>52.5 13.4</q:posList>"),
        (DECLARED % b"http://www.w3.org/2003/01/geo/wgs84_pos#", b"<q:location>52.5 13.4</q:location>"),
        (DECLARED % b"http://www.w3.org/2003/01/geo/wgs84_pos#" + b" q:alt='52.5'", b""),
        (b"", b"<a xmlns='http://www.georss.org/georss'>52.5</a>"),
        (b"dwc:verbatimCoordinates='52.5 13.4'", b"<dwc:footprintWKT>POINT(13.4 52.5)</dwc:footprintWKT>"),
        (b"", b"<dwc:location rdf:parseType='Resource'><dwc:decimalLatitude>52.5</dwc:decimalLatitude></dwc:location>"),
        (b"", b"<x:place rdf:resource='geo:52.5,13.4'/>"),
        (b"x:where='52,31.2N'", b"<x:bag><rdf:Bag><rdf:li>+52.5163+013.3777/</rdf:li></rdf:Bag></x:bag>"),
        (b"x:outline='POLYGON((13.4 52.5))'", b"<!-- latitude 52.5 -->"),
        (b"", b"<x:embedded>&lt;georss:point>52.5 13.4&lt;/georss:point></x:embedded>"),
    ],
)
def test_strip_xmp_gps_removes_coordinates_as_attributes_elements_and_values(located):
    packet = DESCRIPTION % located
    found = strip_xmp_gps(packet)
    assert b"dc:source='box 17'" in found
    assert b"52" not in found and b"13.4" not in found
    assert strip_xmp_gps(found) == found


def test_strip_xmp_gps_keeps_names_of_places_and_everything_else():
    packet = DESCRIPTION % (
        b"photoshop:City='Berlin' crs:LongExposure='1' exif:SubjectLocation='9 9'",
        b"<Iptc4xmpExt:LocationShown><rdf:Bag><rdf:li Iptc4xmpExt:City='Berlin'/></rdf:Bag></Iptc4xmpExt:LocationShown>"
        b"<Iptc4xmpCore:AltTextAccessibility><rdf:Alt><rdf:li>A long street</rdf:li></rdf:Alt>"
        b"</Iptc4xmpCore:AltTextAccessibility><exifEX:ISOSpeedLatitudeyyy>3</exifEX:ISOSpeedLatitudeyyy>",
    )
    assert strip_xmp_gps(packet) == packet


def test_strip_trailer_references_keeps_packets_that_it_cannot_read():
    assert strip_trailer_references(b"<a hdrgm:Version='1' b='2'") == b"<a hdrgm:Version='1' b='2'"
    assert strip_trailer_references(b"<a hdrgm:Version='1' b='2'/>") == b"<a b='2'/>"
    located = b"<a><Container:Directory><rdf:Seq><rdf:li/></rdf:Seq></Container:Directory><b>1</b></a>"
    assert strip_trailer_references(located) == b"<a><b>1</b></a>"
