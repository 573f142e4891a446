"""JPEGs with the segments and appended pictures that cameras, phones and programs write."""

import struct

import imagecodecs
import numpy as np

from pipeline.imageio.metadata.ifd import EXIF_IFD, INTEROP_IFD, ORIENTATION, Ifd, Tag
from tests.support.icc_profiles import DISPLAY_P3
from tests.support.image_files import IPTC, XMP, encode_image, make_corpus_photo, make_exif

ULTRA_HDR_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    b'xmlns:Container="http://ns.google.com/photos/1.0/container/" dc:source="box 17" hdrgm:Version="1.0">'
    b'<Container:Directory><rdf:Seq><rdf:li Item:Semantic="GainMap" Item:Length="%d"/></rdf:Seq></Container:Directory>'
    b"</rdf:Description></rdf:RDF></x:xmpmeta>"
)


def make_jpeg_segment(marker, data):
    """A part of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def encode_tagged_jpeg():
    resource = b"Photoshop 3.0\x008BIM\x04\x04\x00\x00" + struct.pack(">I", len(IPTC)) + IPTC + b"\0" * (len(IPTC) % 2)
    return encode_image(
        make_corpus_photo(),
        "JPEG",
        quality=91,
        subsampling="4:2:2",
        progressive=True,
        exif=make_exif(),
        xmp=XMP,
        icc_profile=DISPLAY_P3,
        dpi=(300, 300),
        comment=b"scanned 1912",
        extra=make_jpeg_segment(0xED, resource),
    )


def make_adobe_rgb_exif(index=b"R03\0", colour_space=65535, byte_order="<", orientation=6):
    """An EXIF block that names a colour space by its interoperability index and ColorSpace; None leaves one out."""
    exif = Ifd(byte_order)
    if colour_space is not None:
        exif.tags[0xA001] = Tag(3, 1, struct.pack(byte_order + "H", colour_space))
    if index is not None:
        exif.children[INTEROP_IFD] = Ifd(byte_order, {1: Tag(2, len(index), index), 2: Tag(7, 4, b"0100")})
    tag = Tag(3, 1, struct.pack(byte_order + "H", orientation))
    return b"Exif\0\0" + Ifd(byte_order, {ORIENTATION: tag}, {EXIF_IFD: exif}).to_exif_block()


def encode_adobe_rgb_jpeg(**changes):
    """As cameras that are set to Adobe RGB write it: without a profile."""
    return encode_image(
        make_corpus_photo(), "JPEG", quality=95, subsampling="4:4:4", exif=make_adobe_rgb_exif(**changes)
    )


def encode_camera_jpeg():
    """With what a thermal camera, an old one and two programs add."""
    added = (
        make_jpeg_segment(0xE1, b"FLIR\0\1\0\0thermal")
        + make_jpeg_segment(0xE2, b"FPXR\0\0\0\0\0")
        + make_jpeg_segment(0xFE, b"exported")
    )
    return encode_image(
        make_corpus_photo(), "JPEG", exif=make_exif(), extra=added, comment=b"scanned 1912", dpi=(180, 180)
    )


def encode_subsampled_jpeg(subsampling):
    return bytes(imagecodecs.jpeg8_encode(np.asarray(make_corpus_photo()), level=90, subsampling=subsampling))


ISO_GAIN_MAP = make_jpeg_segment(0xE2, b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0")
GAIN_MAP_XMP = b'<x:xmpmeta><rdf:Description hdrgm:Version="1.0" hdrgm:GainMapMax="2.3"/></x:xmpmeta>'


def encode_gain_map(**options):
    """A small grey JPEG that says what it is."""
    options = {"xmp": GAIN_MAP_XMP, "extra": ISO_GAIN_MAP} | options
    return encode_image(make_corpus_photo("L").resize((24, 18)), "JPEG", **options)


def encode_multi_picture_jpeg(*others, order=">", extra=b"", **options):
    """A JPEG with others behind it, each with its kind, and the index of CIPA DC-007 that leads to them."""
    count = len(others) + 1
    index = struct.pack(order + "2sHI", b"MM" if order == ">" else b"II", 42, 8) + struct.pack(order + "H", 3)
    for tag, kind, size, value in (
        (0xB000, 7, 4, b"0100"),
        (0xB001, 4, 1, struct.pack(order + "I", count)),
        (0xB002, 7, 16 * count, struct.pack(order + "I", 50)),
    ):
        index += struct.pack(order + "HHI4s", tag, kind, size, value)
    index += bytes(4)
    first = encode_image(
        make_corpus_photo(),
        "JPEG",
        extra=make_jpeg_segment(0xE2, b"MPF\0" + index + bytes(16 * count)) + extra,
        **options,
    )
    base, offset = first.index(b"MPF\0") + 4, len(first)
    entries = struct.pack(order + "IIIHH", 0x20030000, len(first), 0, 0, 0)
    for kind, data in others:
        entries += struct.pack(order + "IIIHH", kind, len(data), offset - base, 0, 0)
        offset += len(data)
    first = first[: base + 50] + entries + first[base + 50 + len(entries) :]
    return first + b"".join(data for _, data in others)


def encode_ultra_hdr_jpeg():
    """As phones write it: the gain map in XMP's directory, in the index, and announced as ISO 21496-1 has it."""
    appended = encode_gain_map()
    return encode_multi_picture_jpeg(
        (0, appended), extra=ISO_GAIN_MAP, xmp=ULTRA_HDR_XMP % len(appended), exif=make_exif()
    )
