"""Coordinates in EXIF blocks and in text: finding and removing them."""

import re
import struct

from pipeline.imageio.metadata.ifd import EXIF_IFD, GPS_IFD, INTEROP_IFD, TYPE_SIZES, read_byte_order

LOCATION_TAGS = frozenset((GPS_IFD, 33550, 33918, 33919, 33920, 33922, 34264, *range(34735, 34738), 42112))
"""Tags with coordinates: the GPS directory, those of GeoTIFF and of its predecessors, GDAL's metadata."""
_LOCATION_WORDS = re.compile(rb"gps|latitude|longt?itude|altitude|coordinates|\b(?:geo|gml|georss):", re.IGNORECASE)
_LOCATION_KEYWORDS = re.compile(rb"(?:.*[^a-z])?(?:lat|long?|location|position)", re.IGNORECASE | re.DOTALL)


def mentions_location(text: bytes, keyword: bytes = b"") -> bool:
    """Whether a text of one or two bytes per letter, or its keyword, has a word that coordinates come with."""
    small = text.replace(b"\0", b"")
    return bool(
        _LOCATION_WORDS.search(small) or _LOCATION_WORDS.search(keyword) or _LOCATION_KEYWORDS.fullmatch(keyword)
    )


def strip_exif_gps(block: bytes) -> bytes | None:
    """Return an EXIF block without coordinates in any of its directories.

    Everything else keeps its offset, because maker notes depend on it.

    Returns:
        None if the block cannot be read, so that its content is unknown.
    """
    order = read_byte_order(block)
    data = bytearray(block)
    try:
        (main,) = struct.unpack_from(f"{order or '<'}I", data, 4)
        (count,) = struct.unpack_from(f"{order or '<'}H", data, main)
    except struct.error:
        return None
    if order is None or main + 2 + 12 * count > len(data):
        return None
    pending, seen = [main], {0}
    while pending:
        start = pending.pop()
        if start not in seen and start + 2 <= len(data):
            pending += _remove_location_tags(data, start, order)
        seen.add(start)
    return bytes(data)


def _remove_location_tags(data: bytearray, start: int, order: str) -> list[int]:
    """Remove the tags with coordinates from a directory; the tags after them and the pointer to the next one move up.

    Returns:
        The offsets of the directories that it points to.
    """
    entries = _read_entries(data, start, order)
    kept, others = b"", []
    for entry in entries:
        code, _, _, where = struct.unpack(order + "HHII", entry)
        if code == GPS_IFD:
            _zero_directory(data, where, order)
        elif code in LOCATION_TAGS:
            _zero_value(data, entry, order)
        else:
            kept += entry
            others += [where] if code in (EXIF_IFD, INTEROP_IFD) else []
    end = start + 2 + 12 * len(entries)
    following = bytes(data[end : end + 4])
    if len(kept) < 12 * len(entries):
        data[start + 2 : end + len(following)] = (kept + following).ljust(12 * len(entries) + len(following), b"\0")
        struct.pack_into(order + "H", data, start, len(kept) // 12)
    return others + ([struct.unpack(order + "I", following)[0]] if len(following) == 4 else [])


def _read_entries(data: bytearray, start: int, order: str) -> list[bytes]:
    """Return the entries of a directory, up to the end of the data."""
    (count,) = struct.unpack_from(order + "H", data, start)
    offsets = range(start + 2, min(start + 2 + 12 * count, len(data) - 11), 12)
    return [bytes(data[offset : offset + 12]) for offset in offsets]


def _zero_directory(data: bytearray, start: int, order: str) -> None:
    """Overwrite a directory and its values with zeros."""
    if start + 2 > len(data):
        return
    entries = _read_entries(data, start, order)
    for entry in entries:
        _zero_value(data, entry, order)
    data[start : start + 2 + 12 * len(entries)] = bytes(2 + 12 * len(entries))


def _zero_value(data: bytearray, entry: bytes, order: str) -> None:
    """Overwrite the values of an entry with zeros if they are outside of the entry."""
    kind, values, where = struct.unpack_from(order + "HII", entry, 2)
    size = TYPE_SIZES.get(kind, 0) * values
    if size > 4 and where + size <= len(data):
        data[where : where + size] = bytes(size)
