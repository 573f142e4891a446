"""Content credentials are found in every format that may have them, and no result carries them."""

import io
import struct

import imagecodecs
import numpy as np
import pytest
import tifffile

from pipeline.imageio.formats import png_chunks
from pipeline.imageio.formats.c2pa import C2PA_BOX_UUID, is_manifest_store, join_credential_segments
from pipeline.imageio.formats.isobmff import pack_box
from pipeline.imageio.image_file import decode, encode
from pipeline.imageio.metadata.metadata import Metadata, MetadataBlock
from tests.support.image_files import encode_image, encode_tiff, make_corpus_photo
from tests.support.jpeg_files import make_jpeg_segment

MAX_PIXELS = 10**9
C2PA_TYPE = bytes.fromhex("63327061 0011 0010 8000 00AA00389B71")


def make_store(size=300, kind=C2PA_TYPE):
    """A JUMBF box of a type, with a claim of some size."""
    claim = pack_box(b"cbor", bytes(number % 251 for number in range(size)))
    return pack_box(b"jumb", pack_box(b"jumd", kind + b"\3c2pa\0") + claim)


def make_segments(box, step=200, number=1):
    """The contents of the segments APP11 that hold a box (ISO 19566-5, D.2)."""
    payload = box[8:]
    return [
        b"JP" + struct.pack(">HI", number, index) + box[:8] + payload[start : start + step]
        for index, start in enumerate(range(0, len(payload), step), start=1)
    ]


def in_jpeg(box):
    extra = b"".join(make_jpeg_segment(0xEB, content) for content in make_segments(box))
    return encode_image(make_corpus_photo(), "JPEG", extra=extra)


def in_webp(box):
    data = encode_image(make_corpus_photo(), "WEBP", lossless=True, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0")
    data += b"C2PA" + struct.pack("<I", len(box)) + box + bytes(len(box) % 2)
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def in_uuid_box(name):
    def make(box):
        if name == "HEIF":
            pytest.importorskip("pillow_heif")
        content = C2PA_BOX_UUID + bytes(4) + b"manifest\0" + bytes(8) + box
        return encode_image(make_corpus_photo(), name) + pack_box(b"uuid", content)

    return make


def in_jxl(box, *, packed=False):
    pytest.importorskip("pillow_jxl")
    start = pack_box(b"JXL ", b"\r\n\x87\n") + pack_box(b"ftyp", b"jxl \0\0\0\0jxl ")
    data = imagecodecs.jpegxl_encode(np.asarray(make_corpus_photo()), lossless=True, usecontainer=False)
    more = pack_box(b"brob", b"jumb" + imagecodecs.brotli_encode(box[8:])) if packed else box
    return start + pack_box(b"jxlc", data) + more


CARRIERS = {
    "JPEG": in_jpeg,
    "PNG": lambda box: png_chunks.with_metadata(
        encode_image(make_corpus_photo(), "PNG"), Metadata(blocks=(MetadataBlock(b"caBX", box),))
    ),
    "TIFF": lambda box: encode_tiff(np.asarray(make_corpus_photo()), extratags=[(52545, 7, len(box), box, True)]),
    "WebP": in_webp,
    "AVIF": in_uuid_box("AVIF"),
    "HEIF": in_uuid_box("HEIF"),
    "JPEG 2000": in_uuid_box("JPEG2000"),
    "JPEG XL": in_jxl,
    "JPEG XL, compressed": lambda box: in_jxl(box, packed=True),
}


@pytest.mark.parametrize("name", CARRIERS)
def test_decode_finds_the_manifest_store_and_no_result_has_it(name):
    box = make_store()
    photo = decode(CARRIERS[name](box), MAX_PIXELS)
    assert photo.credentials == box
    for form in ("same", "tiff", "png"):
        result = encode(photo, photo.pages, form, "keep")
        assert decode(result, MAX_PIXELS).credentials is None
        assert box not in result and box[8:200] not in result


@pytest.mark.parametrize("name", CARRIERS)
def test_decode_of_a_photo_without_credentials_finds_none(name):
    photo = decode(CARRIERS[name](make_store()), MAX_PIXELS)
    assert decode(encode(photo, photo.pages, "same", "keep"), MAX_PIXELS).credentials is None


@pytest.mark.parametrize("name", ["JPEG", "JPEG XL"])
def test_other_boxes_are_no_credentials(name):
    assert decode(CARRIERS[name](make_store(kind=bytes(16))), MAX_PIXELS).credentials is None


def test_join_credential_segments_orders_them_and_tells_boxes_apart():
    box, other = make_store(5000), make_store(700, kind=b"x" * 16)
    segments = [*make_segments(other, number=7), *make_segments(box, number=9)]
    assert join_credential_segments(segments) == box
    assert join_credential_segments(reversed(segments)) == box
    assert join_credential_segments(make_segments(other)) is None
    long_box = struct.pack(">I4sQ", 1, b"jumb", len(box) + 8) + box[8:]
    parts = [long_box[16:1000], long_box[1000:]]
    assert (
        join_credential_segments(
            b"JP\0\1" + struct.pack(">I", index) + long_box[:16] + part for index, part in enumerate(parts, start=1)
        )
        == long_box
    )


def test_credentials_that_are_cut_short_do_not_stop_anything():
    box = make_store()
    for end in range(0, 60, 3):
        assert not is_manifest_store(box[:end]) or end >= 32
        assert join_credential_segments([b"JP\0\1\0\0\0\1" + box[:end]]) in (None, box[:end])
    for name in ("AVIF", "JPEG 2000", "JPEG XL"):
        data = CARRIERS[name](box)
        assert decode(data[: len(data) - 20], MAX_PIXELS).pages


def test_tiff_with_infrared_does_not_copy_the_credentials_of_that_page():
    file, box, samples = io.BytesIO(), make_store(), np.asarray(make_corpus_photo())
    tags = [(285, 2, 9, "infrared", True), (52545, 7, len(box), box, True)]
    with tifffile.TiffWriter(file) as writer:
        writer.write(samples, photometric="rgb", metadata=None)
        writer.write(samples[:, :, 0], photometric="minisblack", metadata=None, extratags=tags)
    photo = decode(file.getvalue(), MAX_PIXELS)
    assert photo.properties["other_pages"] == "1 infrared" and photo.credentials == box
    assert box not in encode(photo, photo.pages, "same", "keep")
