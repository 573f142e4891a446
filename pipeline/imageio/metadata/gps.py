"""Removing coordinates from EXIF blocks."""

import struct

from pipeline.imageio.metadata.ifd import ENTRY_BYTES, EXIF_IFD, GPS_IFD, INTEROP_IFD, TYPE_SIZES, read_byte_order
from pipeline.imageio.metadata.location import LOCATION_TAGS

_MAX_OVERLAP = 4  # how often directories and values may share bytes; a dangling pointer may lead into others


def strip_exif_gps(block: bytes) -> bytes | None:
    """Return an EXIF block without coordinates in any of its directories.

    Everything else keeps its offset, because maker notes depend on it.

    Returns:
        None if the block cannot be read, or if its directories overlap without end, so that its content is unknown.
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
    cleaning = _Cleaning(data, order)
    try:
        cleaning.clean_directories(main)
    except _TooManyEntriesError:
        return None
    return bytes(data)


class _TooManyEntriesError(ValueError):
    """An EXIF block whose directories or values overlap so often that reading all of them would take hours."""


class _Cleaning:
    """Removes coordinates from a block in place; all its work is proportional to the size of the block."""

    def __init__(self, data: bytearray, order: str) -> None:
        self._data, self._order = data, order
        self._seen = {0}
        self._entries_left = _MAX_OVERLAP * len(data) // ENTRY_BYTES + ENTRY_BYTES
        self._bytes_left = _MAX_OVERLAP * len(data)

    def clean_directories(self, main: int) -> None:
        """Remove the tags with coordinates from a directory and from all that it leads to.

        Raises:
            _TooManyEntriesError: more entries or values than a block of this size has.
        """
        pending = [main]
        while pending:
            start = pending.pop()
            if start not in self._seen and start + 2 <= len(self._data):
                pending += self._clean_directory(start)
            self._seen.add(start)

    def _clean_directory(self, start: int) -> list[int]:
        """Remove the tags with coordinates; the tags after them and the pointer to the next directory move up.

        Returns:
            The offsets of the directories that it points to.
        """
        data, order, entries = self._data, self._order, self._read_entries(start)
        kept, others = [], []
        for entry in entries:
            code, _, _, where = struct.unpack(order + "HHII", entry)
            if code == GPS_IFD:
                self._zero_directory(where)
            elif code in LOCATION_TAGS:
                self._zero_value(entry)
            else:
                kept.append(entry)
                others += [where] if code in (EXIF_IFD, INTEROP_IFD) else []
        end = start + 2 + ENTRY_BYTES * len(entries)
        following = bytes(data[end : end + 4])
        if len(kept) < len(entries):
            rest = b"".join(kept) + following
            data[start + 2 : end + len(following)] = rest.ljust(ENTRY_BYTES * len(entries) + len(following), b"\0")
            struct.pack_into(order + "H", data, start, len(kept))
        return others + ([struct.unpack(order + "I", following)[0]] if len(following) == 4 else [])

    def _read_entries(self, start: int) -> list[bytes]:
        """Return the entries of a directory, up to the end of the data."""
        (count,) = struct.unpack_from(self._order + "H", self._data, start)
        end = min(start + 2 + ENTRY_BYTES * count, len(self._data) - ENTRY_BYTES + 1)
        offsets = range(start + 2, end, ENTRY_BYTES)
        self._entries_left -= len(offsets)
        if self._entries_left < 0:
            raise _TooManyEntriesError
        return [bytes(self._data[offset : offset + ENTRY_BYTES]) for offset in offsets]

    def _zero_directory(self, start: int) -> None:
        """Overwrite a directory and its values with zeros."""
        if start + 2 > len(self._data) or start in self._seen:
            return
        self._seen.add(start)
        entries = self._read_entries(start)
        for entry in entries:
            self._zero_value(entry)
        size = 2 + ENTRY_BYTES * len(entries)
        self._data[start : start + size] = bytes(size)

    def _zero_value(self, entry: bytes) -> None:
        """Overwrite the values of an entry with zeros if they are outside of the entry."""
        kind, values, where = struct.unpack_from(self._order + "HII", entry, 2)
        size = TYPE_SIZES.get(kind, 0) * values
        if size > 4 and where + size <= len(self._data):
            self._bytes_left -= size
            if self._bytes_left < 0:
                raise _TooManyEntriesError
            self._data[where : where + size] = bytes(size)
