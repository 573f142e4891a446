"""Photos of every container that holds XMP, with a packet of the test's own."""

import io
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile

from pipeline.imageio.formats import jxl, png_chunks
from pipeline.imageio.formats.isobmff import pack_box
from pipeline.imageio.image_file import decode
from pipeline.imageio.metadata.metadata import Metadata, MetadataBlock
from pipeline.imageio.metadata.photoshop import ImageResource
from tests.support.image_files import encode_image, encode_tiff, make_corpus_photo
from tests.support.jpeg_files import make_jpeg_segment

XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
KEYWORD = b"XML:com.adobe.xmp"


def _png(*blocks):
    return png_chunks.with_metadata(encode_image(make_corpus_photo(), "PNG"), Metadata(blocks=blocks))


def _resources(packet):
    return ImageResource(b"8BIM", 0x0424, b"", packet).to_bytes()


def _jxl(packet):
    pytest.importorskip("pillow_jxl")
    return jxl.with_metadata(
        imagecodecs.jpegxl_encode(np.asarray(make_corpus_photo()), lossless=True), Metadata(xmp=packet)
    )


def _heif(packet):
    pytest.importorskip("pillow_heif")
    return encode_image(make_corpus_photo(), "HEIF", xmp=packet)


def _tiff(code, content):
    return encode_tiff(np.asarray(make_corpus_photo()), extratags=[(code, 1, len(content), content, True)])


CARRIERS = {
    "JPEG": lambda packet: encode_image(make_corpus_photo(), "JPEG", xmp=packet),
    "JPEG resources": lambda packet: encode_image(
        make_corpus_photo(), "JPEG", extra=make_jpeg_segment(0xED, b"Photoshop 3.0\0" + _resources(packet))
    ),
    "PNG": lambda packet: png_chunks.with_metadata(encode_image(make_corpus_photo(), "PNG"), Metadata(xmp=packet)),
    "PNG compressed": lambda packet: _png(MetadataBlock(b"iTXt", KEYWORD + b"\0\1\0\0\0" + zlib.compress(packet))),
    "TIFF": lambda packet: _tiff(700, packet),
    "TIFF resources": lambda packet: _tiff(34377, _resources(packet)),
    "WebP": lambda packet: encode_image(make_corpus_photo(), "WEBP", xmp=packet, lossless=True),
    "AVIF": lambda packet: encode_image(make_corpus_photo(), "AVIF", xmp=packet),
    "JPEG 2000": lambda packet: encode_image(make_corpus_photo(), "JPEG2000") + pack_box(b"uuid", XMP_UUID + packet),
    "JPEG XL": _jxl,
    "HEIF": _heif,
}
"""Container → a photo in it, from its packet."""


def read_xmp_packets(data):
    """The packets of a photo: its own, and that among its Photoshop resources."""
    metadata = decode(data, 10**9).metadata
    found = [metadata.xmp] if metadata.xmp else []
    contents = [block.data for block in metadata.blocks]
    if data[:2] in (b"II", b"MM"):
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            contents += [bytes(tag.value) for tag in file.pages[0].tags if tag.code == 34377]
    for content in contents:
        start = content.find(b"8BIM\x04\x24")
        if start >= 0:
            size = int.from_bytes(content[start + 8 : start + 12])
            found.append(content[start + 12 : start + 12 + size])
    return found
