"""Appended: gain maps, mattes and videos that phones put behind a JPEG, and the index that leads to them.

The index is the Multi-Picture Format of CIPA DC-007: a segment that gives kind, size and place of every picture, places
counted from within itself. Others (the directory in XMP, the trailers of motion photos) count from the end of the file,
so what is appended as it was stays where they say.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from pipeline.imageio.metadata.metadata import holds_gps, xmp_without_gps

INDEX = b"MPF\0"
"""What the segment with the index begins with."""
GAIN_MAP = b"urn:iso:std:iso:ts:21496:-1\0"
"""What the segment begins with that announces a gain map of ISO 21496-1, and the one that describes it."""
_ENTRIES = 0xB002
_PREVIEW, _SEVERAL = 1, 2  # classes of kinds: smaller versions; panoramas, 3D and the like
_COMPANIONS = (0x040000, 0x050000)  # the original of an edited photo; a gain map
_MARKS = (b"hdrgm:", GAIN_MAP, b"AuxiliaryImageType", b"HDRGainMap")  # of Google, ISO and Apple
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_HARMLESS = (b"JFIF\0", b"ICC_PROFILE\0", b"Adobe", INDEX, GAIN_MAP)
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")  # none within coded pixels, no beginning of a picture
_NO_ZERO = re.compile(rb"[^\0]")
_MOST_PICTURES, _MOST_SEGMENTS = 64, 1000  # that are looked into
_BEGIN, _END, _SCAN = b"\xff\xd8", 0xD9, 0xDA


class _Entry(NamedTuple):
    """Of the index: the kind of a picture, its place as the index counts, and where the entry lies in its segment."""

    kind: int
    place: int
    at: int


@dataclass(frozen=True)
class _Index:
    """An index.

    Attributes:
        start: where the content of its segment begins in the file.
        content: of the segment.
        first: the entry of the photo.
        others: those of the other pictures.
    """

    start: int
    content: bytes
    first: _Entry
    others: list[_Entry]

    @property
    def base(self) -> int:
        """What places are counted from."""
        return self.start + len(INDEX)

    def changed(self, size: int, shift: int) -> bytes:
        """Its content with another size of the photo, and the places of the others moved."""
        changed, order = bytearray(self.content), _order(self.content)
        struct.pack_into(order + "I", changed, self.first.at + 4, size)
        for entry in self.others:
            struct.pack_into(order + "I", changed, entry.at + 8, entry.place + shift)
        return bytes(changed)


def rest(data: bytes) -> bytes:
    """What lies behind a JPEG and belongs to it; nothing where that is zeros, or smaller versions of the photo."""
    found, index = data[_end(data) :], _index(data)
    if index and all(entry.kind >> 16 == _PREVIEW for entry in index.others) and not _marked(data, 0):
        return b""
    return found if found.strip(b"\0") else b""


def holds_photos(data: bytes) -> bool:
    """Whether the index names other photos: not smaller versions of the first, not gain maps and mattes."""
    index = _index(data)
    if index is None or _marked(data, 0):
        return False
    return any(
        entry.kind >> 16 == _SEVERAL
        or not (entry.kind >> 16 == _PREVIEW or entry.kind in _COMPANIONS or _marked(data, index.base + entry.place))
        for entry in index.others
        if data.startswith(_BEGIN, index.base + entry.place)  # an index outlives what programs cut off
    )


def movable(data: bytes) -> bytes | None:
    """The index with places counted from the end of the photo, whose size is left out; None where it cannot be read."""
    index, end = _index(data), _end(data)
    if index is None or any(not end <= index.base + entry.place < len(data) for entry in index.others):
        return None
    return index.changed(0, index.base - end)


def placeless(more: bytes) -> bool:
    """Whether it is nothing but a few JPEGs, none of which holds coordinates or what may hide them."""
    place = 0
    for _ in range(_MOST_PICTURES):
        place = _end_of_zeros(more, place)
        if place == len(more):
            return True
        if not more.startswith(_BEGIN, place):
            return False
        if not all(_harmless(marker, more[start:end]) for marker, start, end in segments(more, place)):
            return False
        place = _end(more, place)
    return False


def attached(data: bytes, more: bytes) -> bytes:
    """A JPEG, whose index is as `movable` gives it, with what lies behind it."""
    if index := _index(data):
        content = index.changed(len(data), len(data) - index.base)
        data = data[: index.start] + content + data[index.start + len(content) :]
    return data + more


def _harmless(marker: int, content: bytes) -> bool:
    """Whether a segment has no coordinates."""
    if content.startswith(_XMP):
        return xmp_without_gps(content) == content
    return not holds_gps(content) and (not 0xE0 <= marker <= 0xEF or content.startswith(_HARMLESS))


def _index(data: bytes) -> _Index | None:
    """The index of a file; None where there is none, or none that can be read."""
    for marker, start, end in segments(data, 0):
        if marker == _SCAN:
            break
        if marker == 0xE2 and data.startswith(INDEX, start):
            entries = _entries(data[start:end])
            return _Index(start, data[start:end], entries[0], entries[1:]) if len(entries) > 1 else None
    return None


def _entries(content: bytes) -> list[_Entry]:
    """What an index lists, out of the content of its segment."""
    order, head = _order(content), len(INDEX)
    try:
        (directory,) = struct.unpack_from(order + "I", content, head + 4)
        (count,) = struct.unpack_from(order + "H", content, head + directory)
        for number in range(count):
            tag, _, size, place = struct.unpack_from(order + "HHII", content, head + directory + 2 + 12 * number)
            if tag == _ENTRIES:
                found = []
                for at in range(head + place, head + place + size, 16):
                    kind, _, where = struct.unpack_from(order + "III", content, at)
                    found.append(_Entry(kind & 0xFFFFFF, where, at))
                return found
    except struct.error:
        return []
    return []


def _order(content: bytes) -> str:
    return ">" if content.startswith(b"MM", len(INDEX)) else "<"


def _marked(data: bytes, start: int) -> bool:
    """Whether a picture says that it is, or has, a gain map or matte."""
    for marker, begin, end in islice(segments(data, start), _MOST_SEGMENTS):
        if marker == _SCAN:
            break
        if marker in (0xE1, 0xE2) and any(mark in data[begin:end] for mark in _MARKS):
            return True
    return False


def _end(data: bytes, place: int = 0) -> int:
    """Where the JPEG ends that begins there; the end of the data where it does not say."""
    return next((end for marker, _, end in segments(data, place) if marker == _END), len(data))


def _end_of_zeros(data: bytes, place: int) -> int:
    found = _NO_ZERO.search(data, place)
    return found.start() if found else len(data)


def segments(data: bytes, place: int) -> Iterator[tuple[int, int, int]]:
    """Marker, begin and end of the content of each segment of a JPEG, the mark of its end included."""
    while found := _MARKER.search(data, place):
        marker, place = found[1][0], found.end()
        if marker == _END:
            yield marker, place, place
            return
        if place + 2 > len(data):
            return
        (length,) = struct.unpack_from(">H", data, place)
        yield marker, place + 2, place + max(2, length)
        place += max(2, length)
