"""Gain maps, mattes and videos that phones append to a JPEG, and the index of them: the Multi-Picture Format.

The index of CIPA DC-007 is a segment with the type, size and offset of every picture; offsets count from within that
segment. Others (the directory in XMP, the trailers of motion photos) count from the end of the file, so that they stay
valid if the trailer is appended unchanged.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from pipeline.imageio.formats.jpeg_segments import XMP_HEADER
from pipeline.imageio.metadata.location import mentions_location
from pipeline.imageio.metadata.xmp import strip_xmp_gps

MPF_HEADER = b"MPF\0"
"""The first bytes of the segment with the index."""
GAIN_MAP_HEADER = b"urn:iso:std:iso:ts:21496:-1\0"
"""The first bytes of the segments that announce and describe a gain map of ISO 21496-1."""
_MP_ENTRY_TAG = 0xB002
_LARGE_THUMBNAIL, _MULTI_FRAME = 1, 2  # classes of types: smaller versions; panoramas, 3D and the like
_COMPANION_TYPES = (0x040000, 0x050000)  # the original of an edited photo; a gain map
_AUXILIARY_IMAGE_MARKS = (b"hdrgm:", GAIN_MAP_HEADER, b"AuxiliaryImageType", b"HDRGainMap")  # of Google, ISO and Apple
_GPS_FREE_HEADERS = (b"JFIF\0", b"ICC_PROFILE\0", b"Adobe", MPF_HEADER, GAIN_MAP_HEADER)
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")  # neither those within coded pixels nor the start of a picture
_NONZERO_BYTE = re.compile(rb"[^\0]")
_MAX_PICTURES, _MAX_SEGMENTS = 64, 1000  # that are examined
_SOI, _EOI, _SOS = b"\xff\xd8", 0xD9, 0xDA


class _Entry(NamedTuple):
    """An entry of the index: type and offset of a picture, and where the entry starts in its segment."""

    type_code: int
    offset: int
    entry_start: int


@dataclass(frozen=True)
class _Index:
    """The index of a file.

    Attributes:
        content_start: the offset in the file of the content of its segment.
        content: of the segment.
        primary: the entry of the photo.
        others: the entries of the other pictures.
    """

    content_start: int
    content: bytes
    primary: _Entry
    others: list[_Entry]

    @property
    def offset_base(self) -> int:
        """The offset in the file that the offsets of pictures count from."""
        return self.content_start + len(MPF_HEADER)

    def relocated(self, size: int, shift: int) -> bytes:
        """Return the content with another size of the photo, and the other pictures shifted by `shift` bytes."""
        changed, order = bytearray(self.content), _byte_order(self.content)
        struct.pack_into(order + "I", changed, self.primary.entry_start + 4, size)
        for entry in self.others:
            struct.pack_into(order + "I", changed, entry.entry_start + 8, entry.offset + shift)
        return bytes(changed)


def read_trailer(data: bytes) -> bytes:
    """Return what follows a JPEG and belongs to it; nothing if that is zeros, or smaller versions of the photo."""
    trailer, index = data[_find_end(data) :], _read_index(data)
    if (
        index
        and all(entry.type_code >> 16 == _LARGE_THUMBNAIL for entry in index.others)
        and not _mentions_auxiliary_image(data, 0)
    ):
        return b""
    return trailer if trailer.strip(b"\0") else b""


def has_multiple_photos(data: bytes) -> bool:
    """Whether the index lists other photos than smaller versions, gain maps and mattes of the first one."""
    index = _read_index(data)
    if index is None or _mentions_auxiliary_image(data, 0):
        return False
    if len(index.others) > _MAX_PICTURES:
        return True
    return any(
        entry.type_code >> 16 == _MULTI_FRAME
        or not (
            entry.type_code >> 16 == _LARGE_THUMBNAIL
            or entry.type_code in _COMPANION_TYPES
            or _mentions_auxiliary_image(data, index.offset_base + entry.offset)
        )
        for entry in index.others
        if data.startswith(_SOI, index.offset_base + entry.offset)  # programs cut off pictures and leave the index
    )


def read_relocatable_index(data: bytes) -> bytes | None:
    """Return the index with offsets from the end of the photo, and 0 as its size; None if it cannot be read."""
    index, end = _read_index(data), _find_end(data)
    if index is None or any(not end <= index.offset_base + entry.offset < len(data) for entry in index.others):
        return None
    return index.relocated(0, index.offset_base - end)


def is_gps_free(trailer: bytes) -> bool:
    """Whether a trailer is nothing but a few JPEGs without coordinates and without anything that may contain them."""
    offset = 0
    for _ in range(_MAX_PICTURES):
        offset = _skip_zeros(trailer, offset)
        if offset == len(trailer):
            return True
        if not trailer.startswith(_SOI, offset):
            return False
        if not all(
            _is_gps_free_segment(marker, trailer[start:end]) for marker, start, end in iter_segments(trailer, offset)
        ):
            return False
        offset = _find_end(trailer, offset)
    return False


def append_trailer(data: bytes, trailer: bytes) -> bytes:
    """Append a trailer to a JPEG whose index is as `read_relocatable_index` returns it."""
    if index := _read_index(data):
        content = index.relocated(len(data), len(data) - index.offset_base)
        data = data[: index.content_start] + content + data[index.content_start + len(content) :]
    return data + trailer


def _is_gps_free_segment(marker: int, content: bytes) -> bool:
    """Whether a segment has no coordinates."""
    if content.startswith(XMP_HEADER):
        packet = content.removeprefix(XMP_HEADER)
        return strip_xmp_gps(packet) == packet
    return not mentions_location(content) and (not 0xE0 <= marker <= 0xEF or content.startswith(_GPS_FREE_HEADERS))


def _read_index(data: bytes) -> _Index | None:
    """Return the index of a file; None if there is none, or if it cannot be read."""
    for marker, start, end in iter_segments(data, 0):
        if marker == _SOS:
            break
        if marker == 0xE2 and data.startswith(MPF_HEADER, start):
            entries = _parse_entries(data[start:end])
            return _Index(start, data[start:end], entries[0], entries[1:]) if len(entries) > 1 else None
    return None


def _parse_entries(content: bytes) -> list[_Entry]:
    """Return the entries of an index, given the content of its segment."""
    order, head = _byte_order(content), len(MPF_HEADER)
    try:
        (directory,) = struct.unpack_from(order + "I", content, head + 4)
        (count,) = struct.unpack_from(order + "H", content, head + directory)
        for number in range(count):
            tag, _, size, values_offset = struct.unpack_from(
                order + "HHII", content, head + directory + 2 + 12 * number
            )
            if tag == _MP_ENTRY_TAG:
                found = []
                for entry_start in range(head + values_offset, head + values_offset + size, 16):
                    kind, _, offset = struct.unpack_from(order + "III", content, entry_start)
                    found.append(_Entry(kind & 0xFFFFFF, offset, entry_start))
                return found
    except struct.error:
        return []
    return []


def _byte_order(content: bytes) -> str:
    return ">" if content.startswith(b"MM", len(MPF_HEADER)) else "<"


def _mentions_auxiliary_image(data: bytes, start: int) -> bool:
    """Whether a picture states that it is, or has, a gain map or matte."""
    for marker, begin, end in islice(iter_segments(data, start), _MAX_SEGMENTS):
        if marker == _SOS:
            break
        if marker in (0xE1, 0xE2) and any(mark in data[begin:end] for mark in _AUXILIARY_IMAGE_MARKS):
            return True
    return False


def has_end_mark(data: bytes) -> bool:
    """Whether a file has the mark that ends a JPEG."""
    return any(marker == _EOI for marker, _, _ in iter_segments(data, 0))


def _find_end(data: bytes, start: int = 0) -> int:
    """Return where the JPEG that starts at `start` ends; the end of the data if it has no end marker."""
    return next((end for marker, _, end in iter_segments(data, start) if marker == _EOI), len(data))


def _skip_zeros(data: bytes, offset: int) -> int:
    found = _NONZERO_BYTE.search(data, offset)
    return found.start() if found else len(data)


def iter_segments(data: bytes, offset: int) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of the content of each segment of a JPEG, including the end marker."""
    while found := _MARKER.search(data, offset):
        marker, offset = found[1][0], found.end()
        if marker == _EOI:
            yield marker, offset, offset
            return
        if offset + 2 > len(data):
            return
        (length,) = struct.unpack_from(">H", data, offset)
        yield marker, offset + 2, offset + max(2, length)
        offset += max(2, length)
