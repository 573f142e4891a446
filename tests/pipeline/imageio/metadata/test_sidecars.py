"""Files beside a photo lose coordinates and nothing else."""

import gzip
import json

import pytest

from pipeline.imageio.metadata.sidecars import strip_sidecar_location
from tests.support.growth import assert_linear
from tests.support.image_files import XMP, make_exif

KEPT = {"caption": "a long street", "long": "a long caption", "location": "Berlin", "height": 512, "box": [17, 18.5]}


@pytest.mark.parametrize(
    "located",
    [
        {"lat": 52.5, "lon": 13.4},
        {"latitude": "52.5", "longitude": "13.4", "altitude": 35.25},
        {"latlng": [52.5, 13.4]},
        {"geo": {"lat": 52.5, "long": 13.4}},
        {"position": [52.5, 13.4]},
        {"place": "52.5, 13.4"},
        {"elevation": 52.5},
        {"geometry": {"type": "Point", "coordinates": [13.4, 52.5]}},
        {"exif": {"GPSInfo": {"2": [52.5, 0, 0]}, "34853": {"2": 52.5}}},
        {"exif:GPSLatitude": "52,30.0N", "georss:point": "52.5 13.4"},
        {"where": "geo:52.5,13.4", "notes": ["POINT(13.4 52.5)", {"lng": 13.4}]},
        {"osm_lon": 13.4, "photo": {"EXIF GPS GPSLatitude": "[52, 30, 0]"}},
    ],
)
@pytest.mark.parametrize("suffix", [".json", ".left.json", ".json.gz"])
def test_strip_sidecar_location_removes_keys_of_json(located, suffix):
    content = json.dumps(KEPT | {"deep": [located]} | located).encode()
    packed = gzip.compress(content) if suffix.endswith("gz") else content
    found = strip_sidecar_location(suffix, packed)
    found = gzip.decompress(found) if suffix.endswith("gz") else found
    assert not any(each in found for each in (b"52", b"13.4", b"35.25"))
    assert KEPT.items() <= json.loads(found).items()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (".json", json.dumps(KEPT, indent=3).encode()),
        (".json", b'{"position": null, "place": "first", "point": true, "flat": [52.5, 13.4], "plateau": 1}'),
        (".json", b"no JSON at all"),
        (".txt", b"A long street along the platform"),
        (".cls", b"17"),
        (".xmp", b"<x:xmpmeta dc:source='box 17'/>"),
        (".npy", bytes(range(256)) + b"\0gps\0"),
        (".txt.gz", gzip.compress(b"A long street", mtime=0)),
    ],
)
def test_strip_sidecar_location_leaves_other_files_unchanged(name, content):
    assert strip_sidecar_location(name, content) == content


def test_strip_sidecar_location_cleans_xmp_and_exif():
    found = strip_sidecar_location(".xmp", XMP)
    assert b"box 17" in found and b"52" not in found
    exif = make_exif().removeprefix(b"Exif\0\0")
    found = strip_sidecar_location(".exif", exif)
    assert b"Street with a tram" in found and len(found) == len(exif) and found != exif


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (".txt", b"taken by GPS at 52.5"),
        (".csv", b"id,lat,latitude\n1,52.5,52.5\n"),
        (".txt", "Latitude: 52.5".encode("utf-16")),
        (".lat.txt", b"52.5"),
        (".gps", b"52.5"),
        (".location.json", b"[52.5, 13.4]"),
        (".json", b'{"lat": 52.5, "lon": 13.4}'),
        (".json", b'{"latitude": 52.5'),
        (".json", b'"geo:52.5,13.4"'),
        (".json", b"[" * 100_000 + b"'latitude'"),
        (".pkl", b"\x80\x04\x95latitude\x94G@J@\0\0"),
        (".gpx", b"<gpx xmlns='http://www.topografix.com/GPX/1/1'><wpt lat='52.5'/></gpx>"),
        (".xmp", b"<x geo:lat='52.5'"),
        (".json.gz", b"\x1f\x8bbroken"),
    ],
)
def test_strip_sidecar_location_drops_what_it_cannot_clean(name, content):
    assert strip_sidecar_location(name, content) is None


def test_strip_sidecar_location_takes_steps_in_proportion_to_json():
    def strip_json(content):
        return strip_sidecar_location(".json", content)

    assert_linear(strip_json, lambda n: b'[{"lat":[1]},' * n + b"1" + b"]" * n, 50)
    assert_linear(strip_json, lambda n: b"[" + b'{"a":["b"]},' * n + b"1]", 500)
