"""Coordinates are removed from every part of a photo that may contain them; everything else stays."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile

from pipeline.imageio.formats import png_chunks
from pipeline.imageio.formats.isobmff import pack_box
from pipeline.imageio.image_file import decode, encode
from pipeline.imageio.metadata.gps import strip_exif_gps
from pipeline.imageio.metadata.ifd import EXIF_IFD, GPS_IFD, INTEROP_IFD, Ifd, Tag, parse_exif_block
from pipeline.imageio.metadata.metadata import Metadata, MetadataBlock
from tests.support.image_files import GPS_LATITUDE, encode_image, encode_tiff, make_corpus_photo

MAX_PIXELS = 10**9
MINUTES = struct.pack("<6I", *GPS_LATITUDE)
PLACE = Ifd("<", {1: Tag(2, 2, b"N\0"), 2: Tag(5, 3, MINUTES)})
TITLE = {0x010E: Tag(2, 6, b"a tram")}
TIES = (0.0, 0.0, 0.0, 13.4, 52.5, 0.0)
GEO = {
    33922: Tag(12, 6, struct.pack("<6d", *TIES)),
    33550: Tag(12, 3, struct.pack("<3d", 1, 1, 0)),
    34735: Tag(3, 4, struct.pack("<4H", 1, 1, 0, 1)),
    34737: Tag(2, 8, b"UTM 33N\0"),
    42112: Tag(2, 8, b"<G>x</G>"),
}
COORDINATES = (MINUTES, struct.pack("<d", 13.4), b"UTM 33N", b"<G>x</G>")
SPEED = {0x829A: Tag(5, 1, struct.pack("<II", 1, 125))}


def followed(first, second):
    """An EXIF block of two directories, one behind the other, as cameras write thumbnails."""
    start = 8 + len(first.to_bytes(8))
    return struct.pack("<2sHI", b"II", 42, 8) + first.to_bytes(8, start) + second.to_bytes(start)


BLOCKS = {
    "beside": Ifd("<", dict(TITLE), {EXIF_IFD: Ifd("<", dict(SPEED)), GPS_IFD: PLACE}).to_exif_block(),
    "below EXIF": Ifd("<", dict(TITLE), {EXIF_IFD: Ifd("<", dict(SPEED), {GPS_IFD: PLACE})}).to_exif_block(),
    "further below": Ifd(
        "<", dict(TITLE), {EXIF_IFD: Ifd("<", dict(SPEED), {INTEROP_IFD: Ifd("<", {}, {GPS_IFD: PLACE})})}
    ).to_exif_block(),
    "with the thumbnail": followed(
        Ifd("<", dict(TITLE), {EXIF_IFD: Ifd("<", dict(SPEED))}), Ifd("<", {}, {GPS_IFD: PLACE})
    ),
    "of GeoTIFF": Ifd("<", TITLE | GEO, {EXIF_IFD: Ifd("<", dict(SPEED))}).to_exif_block(),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_strip_exif_gps_cleans_every_directory(name):
    found = strip_exif_gps(BLOCKS[name])
    assert any(each in BLOCKS[name] for each in COORDINATES)
    assert not any(each in found for each in COORDINATES)
    assert len(found) == len(BLOCKS[name]), "maker notes stay where they were"
    assert parse_exif_block(found).tags == TITLE
    assert parse_exif_block(found).children[EXIF_IFD].tags == SPEED
    assert strip_exif_gps(found) == found


@pytest.mark.parametrize("pointer", [0, 8, 2**32 - 1])
def test_strip_exif_gps_of_cyclic_or_dangling_pointers_ends(pointer):
    child = Ifd("<", dict(SPEED), {INTEROP_IFD: Ifd("<")})
    block = Ifd("<", dict(TITLE), {EXIF_IFD: child}).to_exif_block()
    place = block.index(struct.pack("<HHI", INTEROP_IFD, 4, 1)) + 8
    block = block[:place] + struct.pack("<I", pointer) + block[place + 4 :]
    assert strip_exif_gps(block) == block
    assert strip_exif_gps(block[:20]) is None


@pytest.mark.parametrize("samples", [np.uint8, np.uint16])
@pytest.mark.parametrize("form", ["same", "png", "jpeg", "webp"])
def test_encode_with_strip_gps_removes_geotiff_tags(form, samples):
    tags = [(code, tag.field_type, tag.count, tag.data, True) for code, tag in GEO.items()]
    found = decode(encode_tiff(np.asarray(make_corpus_photo()).astype(samples), extratags=tags), MAX_PIXELS)
    if samples is np.uint16 and form in ("jpeg", "webp"):
        return
    kept, clean = (encode(found, found.pages, form, policy) for policy in ("keep", "strip-gps"))
    assert all(each in kept for each in COORDINATES[1:])
    assert not any(each in clean for each in COORDINATES)
    if form == "same":
        with tifffile.TiffFile(io.BytesIO(clean)) as file:
            assert not GEO.keys() & {tag.code for tag in file.pages[0].tags}


GEOJP2 = bytes.fromhex("b14bf8bd083d4b43a5ae8cd7d5a6ce03")
LOCATED_BOXES = [
    pack_box(b"uuid", GEOJP2 + b"II*\0 13.4 52.5"),
    pack_box(b"xml ", b"<gml:pos>52.5 13.4</gml:pos>"),
    pack_box(b"xml ", "<exif:latitude>52.5</exif:latitude>".encode("utf-16-le")),
]


@pytest.mark.parametrize("located", LOCATED_BOXES, ids=["GeoJP2", "GML", "UTF-16"])
def test_encode_with_strip_gps_drops_jpeg2000_boxes_with_coordinates(located):
    plain = pack_box(b"xml ", b"<box>17, along the street</box>")
    found = decode(encode_image(make_corpus_photo(), "JPEG2000") + located + plain, MAX_PIXELS)
    assert located in encode(found, found.pages, "same", "keep")
    clean = encode(found, found.pages, "same", "strip-gps")
    assert located not in clean and plain in clean


def packed(text):
    return zlib.compress(text)


TEXTS = {
    "a key": MetadataBlock(b"tEXt", b"Latitude\x0052.5"),
    "a short key": MetadataBlock(b"tEXt", b"geo lat\x0052.5"),
    "a key of EXIF": MetadataBlock(b"tEXt", b"exif:GPSLatitude\x0052/1, 30/1"),
    "packed": MetadataBlock(b"zTXt", b"Comment\0\0" + packed(b"taken by GPS at 52.5 N")),
    "international": MetadataBlock(b"iTXt", b"Comment\0\0\0de\0Notiz\0GPS: 52.5 N"),
    "packed international": MetadataBlock(b"iTXt", b"Comment\0\1\0de\0Notiz\0" + packed(b"GPS: 52.5 N")),
    "XMP in a chunk of another kind": MetadataBlock(b"tEXt", b"XML:com.adobe.xmp\0<a lat='52.5'/>"),
    "what cannot be unpacked": MetadataBlock(b"zTXt", b"Comment\0\0no zlib"),
    "a chunk that nobody knows": MetadataBlock(b"prVt", b"52.5 N"),
}
PLAIN = (
    MetadataBlock(b"tEXt", b"Title\0A long street along the platform"),
    MetadataBlock(b"zTXt", b"Comment\0\0" + packed(b"at length")),
    MetadataBlock(b"iTXt", b"Comment\0\1\0\0\0" + packed(b"at length")),
    MetadataBlock(b"tIME", bytes(7)),
)


@pytest.mark.parametrize("name", TEXTS)
def test_encode_with_strip_gps_drops_png_texts_with_coordinates(name):
    told = Metadata(blocks=(TEXTS[name], *PLAIN))
    found = decode(png_chunks.with_metadata(encode_image(make_corpus_photo(), "PNG"), told), MAX_PIXELS)
    kept, clean = (
        {(kind, data) for kind, data in png_chunks.iter_chunks(encode(found, found.pages, "same", policy))}
        for policy in ("keep", "strip-gps")
    )
    here = {(block.kind, block.data) for block in PLAIN}
    assert here <= clean <= kept
    assert kept - clean == {(TEXTS[name].kind, TEXTS[name].data)}
