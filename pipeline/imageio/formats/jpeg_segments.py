"""Fitting EXIF and XMP of any length into the segments of a JPEG, of 64 kB each."""

import hashlib
import re
import struct
from collections.abc import Iterator
from dataclasses import replace

from pipeline.imageio.metadata.ifd import Ifd, parse_exif_block
from pipeline.imageio.metadata.metadata import EXIF_HEADER, Metadata, MetadataBlock

MAX_SEGMENT_BYTES = 65533
"""Of the content of a segment."""
XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\0"
"""The first bytes of the segment with the XMP packet."""
_EXTENDED_XMP_HEADER = b"http://ns.adobe.com/xmp/extension/\0"
_XPACKET_WRAPPER = re.compile(rb"<\?xpacket.*?\?>", re.DOTALL)
_EXTENDED_XMP_POINTER = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="%s"/>'
    b"</rdf:RDF></x:xmpmeta>"
)


def fit_to_segments(metadata: Metadata) -> Metadata:
    """Return metadata that fits into the segments of a JPEG.

    An XMP packet that is too long becomes extended XMP (XMP specification, part 3): a packet that refers to further
    segments. An EXIF block that is too long loses its thumbnail, then its largest tags.
    """
    if metadata.exif and len(EXIF_HEADER + metadata.exif) > MAX_SEGMENT_BYTES:
        metadata = replace(metadata, exif=_shrink_exif(metadata.exif))
    if metadata.xmp and len(XMP_HEADER + metadata.xmp) > MAX_SEGMENT_BYTES:
        packet = _XPACKET_WRAPPER.sub(b"", metadata.xmp).strip()
        guid = hashlib.md5(packet, usedforsecurity=False).hexdigest().upper().encode()
        metadata = replace(
            metadata,
            xmp=_EXTENDED_XMP_POINTER % guid,
            blocks=(*metadata.blocks, *_iter_extended_xmp_blocks(guid, packet)),
        )
    return metadata


def _iter_extended_xmp_blocks(guid: bytes, packet: bytes) -> Iterator[MetadataBlock]:
    """Yield the segments of extended XMP."""
    step = MAX_SEGMENT_BYTES - len(_EXTENDED_XMP_HEADER + guid) - 8
    for start in range(0, len(packet), step):
        head = _EXTENDED_XMP_HEADER + guid + struct.pack(">II", len(packet), start)
        yield MetadataBlock(b"APP1", head + packet[start : start + step], may_contain_gps=True)


def _shrink_exif(block: bytes) -> bytes | None:
    """Return an EXIF block that fits; None if the block cannot be read."""
    found = parse_exif_block(block)
    while found and len(EXIF_HEADER + (block := found.to_exif_block())) > MAX_SEGMENT_BYTES:
        found = found.without_tags([max(_iter_tag_sizes(found))[1]])
    return block if found else None


def _iter_tag_sizes(tags: Ifd) -> Iterator[tuple[int, int]]:
    """Yield size and code of each tag, including those of child directories."""
    for code, tag in tags.tags.items():
        yield len(tag.data), code
    for child in tags.children.values():
        yield from _iter_tag_sizes(child)
