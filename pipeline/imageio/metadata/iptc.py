"""Removing coordinates from IPTC records (IIM 4): datasets whose text states some."""

import struct

from pipeline.imageio.metadata.location import mentions_location, states_coordinates

_DATASET_MARKER = 0x1C
_EXTENDED_SIZE = 0x8000


def strip_iptc_location(records: bytes) -> bytes | None:
    """Return records without datasets that state coordinates; names of places and all other text stay.

    Returns:
        None if nothing is left, or if what cannot be read mentions coordinates.
    """
    kept, offset = [], 0
    while offset + 5 <= len(records) and records[offset] == _DATASET_MARKER:
        (size,) = struct.unpack_from(">H", records, offset + 3)
        start = offset + 5
        if size & _EXTENDED_SIZE:
            digits = size & ~_EXTENDED_SIZE
            size, start = int.from_bytes(records[start : start + min(digits, 8)]), start + digits
        if start + size > len(records):
            break
        if not states_coordinates(records[start : start + size].decode("latin-1")):
            kept.append(records[offset : start + size])
        offset = start + size
    rest = records[offset:]
    return None if mentions_location(rest) else b"".join((*kept, rest)) or None
