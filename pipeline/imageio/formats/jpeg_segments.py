"""Fitting EXIF and XMP of any length into the segments of a JPEG, of 64 kB each."""

import hashlib
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from pipeline.imageio.metadata.ifd import ENTRY_BYTES, Ifd, parse_exif_block
from pipeline.imageio.metadata.marking import MarkCapacity
from pipeline.imageio.metadata.metadata import EXIF_HEADER, Metadata, MetadataBlock

MAX_SEGMENT_BYTES = 65533
"""Largest size of the content of a segment."""
XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\0"
"""The first bytes of the segment with the XMP packet."""
_EXTENDED_XMP_HEADER = b"http://ns.adobe.com/xmp/extension/\0"
_EXTENDED_HEAD_BYTES = len(_EXTENDED_XMP_HEADER) + 40  # with the identifier, the size and the offset
_MARKED_PROPERTIES = (b"DigitalSourceType", b"DerivedFrom", b"History", b"DocumentID", b"InstanceID")
_XPACKET_START, _XPACKET_END = b"<?xpacket", b"?>"
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
        packet = _without_packet_wrapper(metadata.xmp)
        guid = hashlib.md5(packet, usedforsecurity=False).hexdigest().upper().encode()
        metadata = replace(
            metadata,
            xmp=_EXTENDED_XMP_POINTER % guid,
            blocks=(*metadata.blocks, *_iter_extended_xmp_blocks(guid, packet)),
        )
    return metadata


def mark_capacity(metadata: Metadata) -> MarkCapacity:
    """Return how much of a mark the segments hold.

    An EXIF block must fit into one, so that nothing of it is dropped for a mark. XMP of any length becomes extended
    XMP. If the photo has extended XMP already, that stays, and the packet that refers to it must fit beside it.
    """
    exif_bytes = MAX_SEGMENT_BYTES - len(EXIF_HEADER)
    extension = b"".join(
        block.data[_EXTENDED_HEAD_BYTES:] for block in metadata.blocks if block.data.startswith(_EXTENDED_XMP_HEADER)
    )
    if not extension:
        return MarkCapacity(exif_bytes=exif_bytes)
    found = next((name for name in _MARKED_PROPERTIES if name in extension), None)
    obstacle = f"the extended XMP, which is kept, has a {found.decode()} of its own" if found else ""
    return MarkCapacity(MAX_SEGMENT_BYTES - len(XMP_HEADER), exif_bytes, obstacle)


def _iter_extended_xmp_blocks(guid: bytes, packet: bytes) -> Iterator[MetadataBlock]:
    """Yield the segments of extended XMP."""
    step = MAX_SEGMENT_BYTES - len(_EXTENDED_XMP_HEADER + guid) - 8
    for start in range(0, len(packet), step):
        head = _EXTENDED_XMP_HEADER + guid + struct.pack(">II", len(packet), start)
        yield MetadataBlock(b"APP1", head + packet[start : start + step], may_contain_gps=True)


def _shrink_exif(block: bytes) -> bytes | None:
    """Return an EXIF block that fits; None if the block cannot be read."""
    found = parse_exif_block(block)
    if found is None:
        return None
    excess = len(EXIF_HEADER + found.to_exif_block()) - MAX_SEGMENT_BYTES
    largest, total = Counter[int](), Counter[int]()
    for code, size in _iter_tag_sizes(found):
        largest[code] = max(largest[code], size)
        total[code] += ENTRY_BYTES + (size + size % 2 if size > 4 else 0)
    dropped = set()
    for code in sorted(largest, key=lambda code: (largest[code], code), reverse=True):
        if excess <= 0:
            break
        dropped.add(code)
        excess -= total[code]
    return found.without_tags(dropped).to_exif_block()


def _iter_tag_sizes(tags: Ifd) -> Iterator[tuple[int, int]]:
    """Yield code and size of each tag, including those of child directories."""
    for code, tag in tags.tags.items():
        yield code, len(tag.data)
    for child in tags.children.values():
        yield from _iter_tag_sizes(child)


def _without_packet_wrapper(packet: bytes) -> bytes:
    """Return an XMP packet without the processing instructions that mark its start and end."""
    pieces, offset = [], 0
    while (start := packet.find(_XPACKET_START, offset)) >= 0 and (end := packet.find(_XPACKET_END, start)) >= 0:
        pieces.append(packet[offset:start])
        offset = end + len(_XPACKET_END)
    return b"".join((*pieces, packet[offset:])).strip()
