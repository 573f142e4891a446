"""Fitting: EXIF and XMP of any length in the segments of a JPEG, which hold 64 kB each."""

import hashlib
import re
import struct
from collections.abc import Iterator
from dataclasses import replace

from pipeline.imageio.metadata.ifd import Ifd, read_block
from pipeline.imageio.metadata.metadata import EXIF_HEAD, Block, Metadata

_LONGEST = 65533  # bytes of a segment
_XMP_HEAD, _MORE_HEAD = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
_WRAPPER = re.compile(rb"<\?xpacket.*?\?>", re.DOTALL)
_POINTER = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="%s"/>'
    b"</rdf:RDF></x:xmpmeta>"
)


def fitted(carried: Metadata) -> Metadata:
    """What a photo carries as a JPEG can hold it.

    An XMP packet that is too long becomes extended XMP (XMP specification, part 3), a packet that leads to further
    segments. Of EXIF that is too long the thumbnail stays behind, then the largest tags.
    """
    if carried.exif and len(EXIF_HEAD + carried.exif) > _LONGEST:
        carried = replace(carried, exif=_shortened(carried.exif))
    if carried.xmp and len(_XMP_HEAD + carried.xmp) > _LONGEST:
        more = _WRAPPER.sub(b"", carried.xmp).strip()
        name = hashlib.md5(more, usedforsecurity=False).hexdigest().upper().encode()
        carried = replace(carried, xmp=_POINTER % name, blocks=(*carried.blocks, *_extension(name, more)))
    return carried


def _extension(name: bytes, more: bytes) -> Iterator[Block]:
    """The segments of extended XMP."""
    step = _LONGEST - len(_MORE_HEAD + name) - 8
    for start in range(0, len(more), step):
        head = _MORE_HEAD + name + struct.pack(">II", len(more), start)
        yield Block(b"APP1", head + more[start : start + step], located=True)


def _shortened(block: bytes) -> bytes | None:
    """An EXIF block that fits; None where it cannot be read."""
    found = read_block(block)
    while found and len(EXIF_HEAD + (block := found.block())) > _LONGEST:
        found = found.without([max(_sizes(found))[1]])
    return block if found else None


def _sizes(tags: Ifd) -> Iterator[tuple[int, int]]:
    """Size and code of each tag, those of directories below included."""
    for code, tag in tags.tags.items():
        yield len(tag.data), code
    for child in tags.children.values():
        yield from _sizes(child)
