"""EXIF and XMP that are too long for one segment of a JPEG."""

import hashlib
import io
import random
import struct
from dataclasses import replace

from PIL import Image

from pipeline.imageio.formats.jpeg_segments import fit_to_segments
from pipeline.imageio.image_file import decode, encode
from pipeline.imageio.metadata.ifd import (
    EXIF_IFD,
    Ifd,
    Tag,
    parse_exif_block,
)
from pipeline.imageio.metadata.metadata import Metadata
from tests.support.growth import assert_linear
from tests.support.image_files import encode_image, make_corpus_photo

MAX_PIXELS = 10**9


def extended(data):
    """What the segments of extended XMP hold, by their name; parts in the order of their offsets."""
    head, found = b"http://ns.adobe.com/xmp/extension/\0", {}
    with Image.open(io.BytesIO(data)) as image:
        for kind, content in image.applist:
            if kind == "APP1" and content.startswith(head):
                name, (size, start) = content[35:67], struct.unpack_from(">II", content, 67)
                parts = found.setdefault(name, [bytearray(size)])[0]
                parts[start : start + len(content) - 75] = content[75:]
    return {name: bytes(parts) for name, (parts,) in found.items()}


def test_encode_of_long_xmp_writes_extended_xmp():
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/">' + bytes(random.Random(0).choices(b"abc", k=150_000)) + b"</x:xmpmeta>"
    )
    wrapped = b'<?xpacket begin="" id="W5M0"?>' + packet + b"  \n" * 900 + b'<?xpacket end="w"?>'
    found = decode(encode_image(make_corpus_photo(), "PNG"), MAX_PIXELS)
    scan = replace(found, metadata=Metadata(xmp=wrapped))
    result = encode(scan, scan.pages, "jpeg", "keep")
    ((name, more),) = extended(result).items()
    assert more == packet
    assert name == hashlib.md5(packet).hexdigest().upper().encode()
    again = decode(result, MAX_PIXELS)
    assert b'HasExtendedXMP="%s"' % name in again.metadata.xmp
    assert extended(encode(again, again.pages, "same", "keep")) == {name: more}, "and it stays"


def test_encode_of_long_exif_drops_the_largest_tags():
    inner = Ifd("<", {0x927C: Tag(7, 40_000, bytes(40_000)), 0x829A: Tag(5, 1, struct.pack("<II", 1, 125))})
    outer = {0x010E: Tag(2, 5, b"tram\0"), 0xC4A5: Tag(7, 50_000, bytes(50_000)), 0x0112: Tag(3, 1, b"\6\0")}
    found = decode(encode_image(make_corpus_photo(), "PNG"), MAX_PIXELS)
    scan = replace(found, metadata=Metadata(exif=Ifd("<", outer, {EXIF_IFD: inner}).to_exif_block()))
    kept = parse_exif_block(decode(encode(scan, scan.pages, "jpeg", "keep"), MAX_PIXELS).metadata.exif)
    assert kept.tags == {code: tag for code, tag in outer.items() if code != 0xC4A5}
    assert kept.children[EXIF_IFD].tags == inner.tags
    junk = replace(found, metadata=Metadata(exif=b"none" * 20_000))
    assert decode(encode(junk, junk.pages, "jpeg", "keep"), MAX_PIXELS).metadata.exif is None


def make_many_tags(n):
    return Ifd("<", {0x9000 + k: Tag(7, 600, bytes(600)) for k in range(n)}).to_exif_block()


def test_fit_to_segments_takes_steps_in_proportion_to_exif():
    assert_linear(lambda block: fit_to_segments(Metadata(exif=block)), make_many_tags, 500)
    assert len(fit_to_segments(Metadata(exif=make_many_tags(500))).exif) <= 65533 - 6


def test_fit_to_segments_takes_steps_in_proportion_to_xmp():
    unclosed = b"<?xpacket " * 3
    assert_linear(lambda packet: fit_to_segments(Metadata(xmp=packet)), lambda n: unclosed * n, 20_000)
    packet = b"<?xpacket a?>" + b"x" * 70_000 + b"<?xpacket b?>  " + b"<?xpacket "
    whole = b"".join(block.data[75:] for block in fit_to_segments(Metadata(xmp=packet)).blocks)
    assert whole == b"x" * 70_000 + b"  <?xpacket"
