"""The tag Software of an EXIF block, set so that everything else keeps its offset."""

import struct

from pipeline.imageio.metadata.ifd import ENTRY_BYTES, Ifd, Tag, read_byte_order

SOFTWARE = 0x0131
_ASCII = 2


def software_tag(text: str) -> Tag:
    """Return the tag for the name of a program; characters outside of ASCII become question marks."""
    data = text.encode("ascii", "replace") + b"\0"
    return Tag(_ASCII, len(data), data)


def with_software(block: bytes | None, text: str) -> bytes | None:
    """Return an EXIF block whose tag Software is a text; None as a block makes one that has nothing else.

    Maker notes contain offsets into the block. So all bytes stay where they are, and a new main directory, which refers
    to the same values, is appended.

    Returns:
        None if the block cannot be read.
    """
    tag = software_tag(text)
    if not block:
        return Ifd("<", {SOFTWARE: tag}).to_exif_block()
    order = read_byte_order(block)
    if order is None or len(block) < 8:
        return None
    (start,) = struct.unpack_from(order + "I", block, 4)
    entries = _read_entries(block, start, order)
    if entries is None:
        return None
    link = block[start + 2 + ENTRY_BYTES * len(entries) :][:4].ljust(4, b"\0")
    codes = [struct.unpack_from(order + "H", entry)[0] for entry in entries]
    kept = [entry for code, entry in zip(codes, entries, strict=True) if code != SOFTWARE]
    place = next((number for number, entry in enumerate(kept) if _code(entry, order) > SOFTWARE), len(kept))
    padded = block + bytes(len(block) % 2)
    value_offset = len(padded) + 2 + ENTRY_BYTES * (len(kept) + 1) + 4
    value = tag.data.ljust(4, b"\0") if len(tag.data) <= 4 else struct.pack(order + "I", value_offset)
    kept.insert(place, struct.pack(order + "HHI", SOFTWARE, tag.field_type, tag.count) + value)
    directory = struct.pack(order + "H", len(kept)) + b"".join(kept) + link
    outside = tag.data + bytes(len(tag.data) % 2) if len(tag.data) > 4 else b""
    return padded[:4] + struct.pack(order + "I", len(padded)) + padded[8:] + directory + outside


def _read_entries(block: bytes, start: int, order: str) -> list[bytes] | None:
    """Return the entries of the directory at an offset; None if it is not in the block."""
    if start < 8 or start + 2 > len(block):
        return None
    (count,) = struct.unpack_from(order + "H", block, start)
    first, end = start + 2, start + 2 + ENTRY_BYTES * count
    if end > len(block) or count == 0xFFFF:
        return None
    return [block[offset : offset + ENTRY_BYTES] for offset in range(first, end, ENTRY_BYTES)]


def _code(entry: bytes, order: str) -> int:
    return int(struct.unpack_from(order + "H", entry)[0])
