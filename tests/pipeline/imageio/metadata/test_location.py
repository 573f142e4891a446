"""One list tells coordinates from everything else, by name, by namespace and by notation."""

import pytest

from pipeline.imageio.metadata.location import (
    is_location_name,
    is_location_namespace,
    may_hold_coordinates,
    mentions_location,
    states_coordinates,
)

LOCATION_NAMES = (
    *("GPSLatitude", "GpsLongtitude", "GPSImgDirection", "lat", "long", "lon", "lng", "Lat_long", "geo_lat", "latLng"),
    *("decimalLatitude", "verbatimCoordinates", "footprintWKT", "coordinatePrecision", "AbsoluteAltitude", "GeoHash"),
    *("RtkStdLon", "minimumElevationInMeters", "georeferenceRemarks", "coordinates", "EarthPos", "asWKT", "CellID"),
)
OTHER_NAMES = (
    *("Alt", "AltTextAccessibility", "Flat", "WeightedFlatSubject", "LongExposureNoiseReduction", "caption_long"),
    *("Translation", "ISOSpeedLatitudeyyy", "SubjectLocation", "City", "CountryCode", "Location", "LocationShown"),
    *("YCbCrPositioning", "Collation", "Salon", "CameraElevationAngle", "Balloon", "Geography", "latin", "prolong"),
)


@pytest.mark.parametrize("name", LOCATION_NAMES)
def test_is_location_name_of_coordinates_is_true(name):
    assert is_location_name(name)


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_is_location_name_of_other_properties_is_false(name):
    assert not is_location_name(name)


@pytest.mark.parametrize(
    ("prefix", "uri"),
    [
        ("georss", ""),
        ("GML", ""),
        ("a", "http://www.georss.org/georss"),
        ("b", "http://www.opengis.net/gml/3.2"),
        ("c", "http://www.w3.org/2003/01/geo/wgs84_pos#"),
        ("d", "http://www.opengis.net/kml/2.2"),
        ("myGPS", "http://example.org/"),
    ],
)
def test_is_location_namespace_is_by_prefix_or_uri(prefix, uri):
    assert is_location_namespace(prefix, uri)
    assert not is_location_namespace("dwc", "http://rs.tdwg.org/dwc/terms/")


@pytest.mark.parametrize(
    "value",
    [
        "52,31.2N",
        "52,31,12.5n",
        "+52.5163+013.3777/",
        "+5231+01324CRSWGS_84/",
        "geo:52.5,13.4",
        "see geo:-52.5,13.4;u=9",
        "POINT(13.4 52.5)",
        "here: Polygon ((13 52, 14 52))",
        "MULTIPOINT Z (13 52 3)",
        "taken by GPS at 52.5",
        "<gml:pos>52.5 13.4</gml:pos>",
        "<a xmlns='http://www.georss.org/georss'>52.5 13.4</a>",
    ],
)
def test_states_coordinates_in_a_notation_is_true(value):
    assert states_coordinates(value)


@pytest.mark.parametrize(
    "value",
    [
        "exposure latitude, at length",
        "geo: a school subject",
        "the point (see below)",
        "Polygon Records",
        "52,31.2",
        "1/125",
        "+49 30 1234567",
        "2020-01-02T10:11:12+01:00",
        "0.25, 0.5",
    ],
)
def test_states_coordinates_of_other_texts_is_false(value):
    assert not states_coordinates(value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le"])
def test_mentions_location_reads_texts_of_every_width(encoding):
    assert mentions_location("Latitude: 52.5".encode(encoding))
    assert mentions_location("<georss:point>52.5 13.4</georss:point>".encode(encoding))
    assert not mentions_location("A long street along the platform".encode(encoding), b"Title")


@pytest.mark.parametrize("keyword", [b"geo lat", b"exif:GPSLatitude", b"Location", b"lon", b"Position", b"dwc_wkt"])
def test_mentions_location_looks_at_the_keyword(keyword):
    assert mentions_location(b"52.5", keyword)
    assert not mentions_location(b"52.5", b"Flat")


def test_may_hold_coordinates_is_for_names_of_places_and_heights():
    assert all(map(may_hold_coordinates, ("location", "Position", "elevation")))
    assert not any(map(may_hold_coordinates, ("height", "text", "caption")))
