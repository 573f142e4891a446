"""Places: coordinates in EXIF blocks and in text, found and taken out."""

import re
import struct

from pipeline.imageio.metadata.ifd import EXIF_IFD, GPS_IFD, INTEROP_IFD, TYPE_SIZES, read_byte_order

LOCATION_TAGS = frozenset((GPS_IFD, 33550, 33918, 33919, 33920, 33922, 34264, *range(34735, 34738), 42112))
"""Tags of places: the GPS directory, those of GeoTIFF and of its forerunners, GDAL's metadata."""
_LOCATION_WORDS = re.compile(rb"gps|latitude|longt?itude|altitude|coordinates|\b(?:geo|gml|georss):", re.IGNORECASE)
_LOCATION_KEYWORDS = re.compile(rb"(?:.*[^a-z])?(?:lat|long?|location|position)", re.IGNORECASE | re.DOTALL)


def mentions_location(text: bytes, keyword: bytes = b"") -> bool:
    """Whether words of coordinates are in a text, of one or two bytes a letter, or its keyword is one."""
    small = text.replace(b"\0", b"")
    return bool(
        _LOCATION_WORDS.search(small) or _LOCATION_WORDS.search(keyword) or _LOCATION_KEYWORDS.fullmatch(keyword)
    )


def strip_exif_gps(block: bytes) -> bytes | None:
    """An EXIF block without the tags of places in any of its directories.

    Everything else stays where it was, as maker notes need it.

    Returns:
        None if the block cannot be read, so that one does not know what it holds.
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
    """Take the tags of places out of a directory; the ones behind and the pointer to the next directory move up.

    Returns:
        Where the directories start that it points to.
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
    """The entries of a directory, as far as they are there."""
    (count,) = struct.unpack_from(order + "H", data, start)
    offsets = range(start + 2, min(start + 2 + 12 * count, len(data) - 11), 12)
    return [bytes(data[place : place + 12]) for place in offsets]


def _zero_directory(data: bytearray, start: int, order: str) -> None:
    """Overwrite a directory and its values with zeros."""
    if start + 2 > len(data):
        return
    entries = _read_entries(data, start, order)
    for entry in entries:
        _zero_value(data, entry, order)
    data[start : start + 2 + 12 * len(entries)] = bytes(2 + 12 * len(entries))


def _zero_value(data: bytearray, entry: bytes, order: str) -> None:
    """Overwrite the values of an entry that lie elsewhere with zeros."""
    kind, values, where = struct.unpack_from(order + "HII", entry, 2)
    size = TYPE_SIZES.get(kind, 0) * values
    if size > 4 and where + size <= len(data):
        data[where : where + size] = bytes(size)
