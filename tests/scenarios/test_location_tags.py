"""Coordinates leave photos of every container, whatever tag holds them: ExifTool writes and reads them."""

import json
import re
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest

from pipeline.imageio.formats import png_chunks
from pipeline.imageio.image_file import decode, encode
from pipeline.imageio.metadata.metadata import Metadata, MetadataBlock
from pipeline.sources.archives import read_tar_index
from pipeline.storage.objects import read_range
from tests.pipeline.workers.test_shard_worker import rows_of  # noqa: F401 — a fixture
from tests.support.containers import photo_bytes, write_tar
from tests.support.image_files import encode_image, make_corpus_photo
from tests.support.xmp_carriers import CARRIERS, read_xmp_packets

MAX_PIXELS = 10**9
EXIFTOOL = shutil.which("exiftool")
needs_exiftool = pytest.mark.skipif(EXIFTOOL is None, reason="exiftool (libimage-exiftool-perl) is not installed")
CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "photos"

NAMES_OF_PLACES = re.compile(  # and of regions on a map: they stay, as docs/photos.md says
    r"(LocationCreated|LocationShown|RatingRegion|DC)?(City|Country(Code|Name)?|County|Municipality|State(Province)?|"
    r"ProvinceState|Sublocation|WorldRegion|LocationId|Identifier|LocationName|Location|LocationID|LocationAccordingTo|"
    r"LocationRemarks|Continent|HigherGeography(ID)?|Island(Group)?|(Verbatim)?Locality|WaterBody)"
)
NO_COORDINATES = re.compile(  # how a camera is turned, moves, or lies within its device, and datums
    r"Gimbal\w+|Flight\w+|CamReverse|RtkFlag|\w*Pose(Position|Rotation)[WXYZ]|"
    r"DC(Footprint(SRS|SpatialFit)|GeodeticDatum|VerticalDatum|VerbatimSRS|PointRadiusSpatialFit)"
)


def exiftool(*arguments):
    return run_exiftool([arguments])


def run_exiftool(commands):
    """Run commands, which are lists of arguments, one after the other in one process of ExifTool."""
    arguments = [each for command in commands for each in ("-execute", "-q", "-q", *command)][1:]
    return subprocess.run([EXIFTOOL, *arguments], capture_output=True, check=False, timeout=120).stdout


@pytest.fixture(scope="module")
def xmp_tags():
    """ExifTool's list of the tags of XMP."""
    return exiftool("-listx", "-XMP:all").decode()


def find_location_tags(xmp_tags):
    """ExifTool's writable tags of XMP in its category Location: group → names."""
    groups, group = {}, None
    for line in xmp_tags.splitlines():
        if table := re.search(r"<table name='[^']+' g0='XMP' g1='([^']+)' g2='([^']+)'", line):
            group = table.groups()
        if tag := re.search(r"<tag id='[^']+' name='([^']+)' type='(\w[^']*)' writable='true'(?:.* g2='(\w+)')?", line):
            name, kind, category = tag.groups()
            if (category or group[1]) == "Location" and kind != "struct":
                groups.setdefault(group[0], []).append(name)
    return groups


def strip(data, form="same"):
    found = decode(data, MAX_PIXELS)
    return encode(found, found.pages, form, "strip-gps")


@needs_exiftool
def test_encode_with_strip_gps_removes_every_location_tag_of_exiftool(tmp_path, xmp_tags):
    groups = find_location_tags(xmp_tags)
    assert {"XMP-exif", "XMP-dwc", "XMP-drone-dji", "XMP-cell"} <= groups.keys()
    paths = [tmp_path / f"{group}.jpg" for group in groups]
    for path in paths:
        path.write_bytes(encode_image(make_corpus_photo(), "JPEG"))
    run_exiftool(
        ["-m", "-overwrite_original", "-XMP-dc:Source=box 17", *(f"-{group}:{name}=1" for name in names), path]
        for path, (group, names) in zip(paths, groups.items(), strict=True)
    )
    written = json.loads(exiftool("-j", "-G1", "-Location:all", *paths))
    for path in paths:
        path.write_bytes(strip(path.read_bytes()))
    results = json.loads(exiftool("-j", "-Location:all", "-XMP-dc:Source", *paths))
    for (group, names), before, after in zip(groups.items(), written, results, strict=True):
        assert before["SourceFile"] == after["SourceFile"] == str(tmp_path / f"{group}.jpg")
        assert len(before) > len(names) // 2, f"ExifTool writes the tags of {group}"
        assert after.pop("Source") == "box 17"
        left = [name for name in after if not (NAMES_OF_PLACES.fullmatch(name) or NO_COORDINATES.fullmatch(name))]
        assert left == ["SourceFile"], group
        kept = [name for name in names if NAMES_OF_PLACES.fullmatch(name)]
        assert {each.partition(":")[2] for each in before} & set(kept) <= after.keys(), "names of places stay"


@needs_exiftool
def test_encode_with_strip_gps_keeps_every_other_xmp_tag_of_exiftool(tmp_path, xmp_tags):
    """All that ExifTool can write into the namespaces that photos have most, but for the coordinates."""
    path, result = tmp_path / "a.jpg", tmp_path / "b.jpg"
    path.write_bytes(encode_image(make_corpus_photo(), "JPEG"))
    groups = {"dc", "xmp", "photoshop", "tiff", "exif", "exifEX", "aux", "iptcCore", "iptcExt", "plus", "lr"}
    arguments = []
    for table in xmp_tags.split("<table ")[1:]:
        group = re.search(r"g1='XMP-(\w+)'", table)
        if group and group[1] in groups:
            names = re.findall(r"name='(\w+)' type='[^']+' writable='true'", table)
            arguments += [f"-XMP-{group[1]}:{name}=1" for name in names]
    exiftool("-m", "-overwrite_original", *arguments, path)
    (before,) = json.loads(exiftool("-j", "-G1", "-XMP:all", path))
    result.write_bytes(strip(path.read_bytes()))
    (after,) = json.loads(exiftool("-j", "-G1", "-XMP:all", result))
    assert len(before) > 300
    lost = {name for name in before.keys() - after.keys() if "GPS" not in name}
    assert lost == set()
    assert {name: before[name] for name in after if name != "SourceFile"} == {
        name: after[name] for name in after if name != "SourceFile"
    }


@needs_exiftool
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_encode_with_strip_gps_leaves_exiftool_no_position(tmp_path, suffix):
    path, result = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    kind = {"jpg": "JPEG", "png": "PNG", "tif": "TIFF", "webp": "WEBP"}[suffix]
    path.write_bytes(encode_image(make_corpus_photo(), kind))
    places = [
        "-GPSLatitude*=52.5163",
        "-GPSLongitude*=13.3777",
        "-XMP:GPSLatitude=52.5163",
        "-XMP-dwc:DCFootprintWKT=x",
    ]
    exiftool("-m", "-overwrite_original", *places, "-XMP-dc:Source=box 17", "-EXIF:Model=tram", path)
    assert "GPSLatitude" in json.loads(exiftool("-j", path))[0]
    result.write_bytes(strip(path.read_bytes()))
    (after,) = json.loads(exiftool("-j", "-a", result))
    assert after["Source"] == "box 17" and after["Model"] == "tram"
    assert not [name for name in after if re.search("GPS|Latitude|Longitude|Footprint", name)]


@pytest.mark.parametrize("carrier", CARRIERS)
def test_encode_with_strip_gps_cleans_xmp_of_every_container(carrier):
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:q="http://www.georss.org/georss" '
        b'dc:source="box 17"><q:point>52.5163 13.3777</q:point><dwc:footprintWKT>52.5163</dwc:footprintWKT>'
        b"</rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    data = CARRIERS[carrier](packet)
    kept = encode(decode(data, MAX_PIXELS), decode(data, MAX_PIXELS).pages, "same", "keep")
    assert any(b"52.5163" in each for each in read_xmp_packets(kept))
    packets = read_xmp_packets(strip(data))
    assert packets and all(b"box 17" in each and b"52.5163" not in each for each in packets)


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("broken", [b"<a geo:lat='52.5163'", b"<a>&place;52.5163</a>", b"52.5163 no XML < at all"])
def test_encode_with_strip_gps_drops_xmp_that_is_not_well_formed(carrier, broken):
    result = strip(CARRIERS[carrier](broken))
    assert b"52.5163" not in result and read_xmp_packets(result) == []


@pytest.mark.skipif(not CASES.is_dir(), reason="no ../shared folder with cases beside this checkout")
def test_encode_with_strip_gps_removes_the_places_of_a_case():
    data = (CASES / "j21b-places-georss.jpg").read_bytes()
    assert b"52.5163" in data and b"52.5163" not in strip(data)


@pytest.mark.parametrize("policy", ["keep", "strip-gps", "strip"])
def test_run_from_tar_to_tar_strips_coordinates_of_sidecars(rows_of, tmp_path, policy):  # noqa: F811
    located = b'{"year": 1912, "lat": 52.5163, "place": {"name": "Berlin", "lng": 13.3777}}'
    files = {"0001.jpg": photo_bytes("0001.jpg"), "0001.json": located, "0001.txt": b"a street", "0001.gps": b"52.5163"}
    write_tar(tmp_path / "in.tar", files)
    out = {"uri": str(tmp_path / "out"), "layout": "webdataset", "metadata": policy}
    rows_of(input={"images": str(tmp_path / "in.tar")}, output=out)
    (path,) = (tmp_path / "out").glob("*.tar")
    found = {name: read_range(str(path), start, start + size) for name, start, size, _ in read_tar_index(str(path))}
    assert found["0001.txt"] == b"a street"
    if policy == "keep":
        assert found["0001.json"] == located and found["0001.gps"] == b"52.5163"
    else:
        assert json.loads(found["0001.json"]) == {"year": 1912, "place": {"name": "Berlin"}}
        assert "0001.gps" not in found


@pytest.mark.parametrize(
    "packet",
    [b"<a b='1'>" + b" " * 900_000 + b"</a>", b" " * 900_000, b"<a:gps>" * 100_000, b"<a:" + b"gps" * 300_000 + b"/>"],
    ids=["blanks", "nothing but blanks", "open elements", "one long name"],
)
def test_run_with_strip_gps_finishes_photos_whose_xmp_is_long(rows_of, tmp_path, packet):  # noqa: F811
    chunk = MetadataBlock(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(packet))
    data = png_chunks.with_metadata(encode_image(make_corpus_photo(), "PNG"), Metadata(blocks=(chunk,)))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(data)
    rows = rows_of(
        input={"images": str(tmp_path / "in")}, output={"uri": str(tmp_path / "out"), "metadata": "strip-gps"}
    )
    assert rows["a.png"]["status"] == "ok"
