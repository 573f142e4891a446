"""Places: coordinates in EXIF blocks and in text, found and taken out."""

import re
import struct

from pipeline.imageio.metadata.ifd import EXIF, GPS, INTEROP, SIZES, block_order

LOCATED = frozenset((GPS, 33550, 33918, 33919, 33920, 33922, 34264, *range(34735, 34738), 42112))
"""Tags of places: the GPS directory, those of GeoTIFF and of its forerunners, GDAL's metadata."""
_WORDS = re.compile(rb"gps|latitude|longt?itude|altitude|coordinates|\b(?:geo|gml|georss):", re.IGNORECASE)
_KEYS = re.compile(rb"(?:.*[^a-z])?(?:lat|long?|location|position)", re.IGNORECASE | re.DOTALL)


def speaks_of_places(text: bytes, keyword: bytes = b"") -> bool:
    """Whether words of coordinates are in a text, of one or two bytes a letter, or its keyword is one."""
    small = text.replace(b"\0", b"")
    return bool(_WORDS.search(small) or _WORDS.search(keyword) or _KEYS.fullmatch(keyword))


def without_gps(block: bytes) -> bytes | None:
    """An EXIF block without the tags of places in any of its directories.

    Everything else stays where it was, as maker notes need it.

    Returns:
        None if the block cannot be read, so that one does not know what it holds.
    """
    order = block_order(block)
    data = bytearray(block)
    try:
        (main,) = struct.unpack_from(f"{order or '<'}I", data, 4)
        (count,) = struct.unpack_from(f"{order or '<'}H", data, main)
    except struct.error:
        return None
    if order is None or main + 2 + 12 * count > len(data):
        return None
    left, seen = [main], {0}
    while left:
        start = left.pop()
        if start not in seen and start + 2 <= len(data):
            left += _clear(data, start, order)
        seen.add(start)
    return bytes(data)


def _clear(data: bytearray, start: int, order: str) -> list[int]:
    """Take the tags of places out of a directory; the ones behind and the pointer to the next directory move up.

    Returns:
        Where the directories start that it points to.
    """
    entries = _entries(data, start, order)
    kept, others = b"", []
    for entry in entries:
        code, _, _, where = struct.unpack(order + "HHII", entry)
        if code == GPS:
            _blank(data, where, order)
        elif code in LOCATED:
            _blank_value(data, entry, order)
        else:
            kept += entry
            others += [where] if code in (EXIF, INTEROP) else []
    end = start + 2 + 12 * len(entries)
    following = bytes(data[end : end + 4])
    if len(kept) < 12 * len(entries):
        data[start + 2 : end + len(following)] = (kept + following).ljust(12 * len(entries) + len(following), b"\0")
        struct.pack_into(order + "H", data, start, len(kept) // 12)
    return others + ([struct.unpack(order + "I", following)[0]] if len(following) == 4 else [])


def _entries(data: bytearray, start: int, order: str) -> list[bytes]:
    """The entries of a directory, as far as they are there."""
    (count,) = struct.unpack_from(order + "H", data, start)
    places = range(start + 2, min(start + 2 + 12 * count, len(data) - 11), 12)
    return [bytes(data[place : place + 12]) for place in places]


def _blank(data: bytearray, start: int, order: str) -> None:
    """Overwrite a directory and its values with zeros."""
    if start + 2 > len(data):
        return
    entries = _entries(data, start, order)
    for entry in entries:
        _blank_value(data, entry, order)
    data[start : start + 2 + 12 * len(entries)] = bytes(2 + 12 * len(entries))


def _blank_value(data: bytearray, entry: bytes, order: str) -> None:
    """Overwrite the values of an entry that lie elsewhere with zeros."""
    kind, values, where = struct.unpack_from(order + "HII", entry, 2)
    size = SIZES.get(kind, 0) * values
    if size > 4 and where + size <= len(data):
        data[where : where + size] = bytes(size)
