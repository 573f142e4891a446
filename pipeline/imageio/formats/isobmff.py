"""Boxes: what JP2 and JPEG XL files are made of, one behind the other."""

import struct
from collections.abc import Iterator


def iter_boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of the boxes that lie one behind the other, as far as their sizes can be true."""
    offset = 0
    while offset + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, offset)
        head = 8
        if size == 1 and offset + 16 <= len(data):
            (size,), head = struct.unpack_from(">Q", data, offset + 8), 16
        end = len(data) if size == 0 else offset + size
        if end < offset + head:
            return
        yield kind, data[offset + head : end]
        offset = end


def pack_box(kind: bytes, content: bytes) -> bytes:
    """A box.

    Raises:
        ValueError: it would be larger than 4 GB.
    """
    size = len(content) + 8
    if size >= 2**32:
        raise ValueError(f"{size} bytes do not fit a box '{kind.decode()}'")
    return struct.pack(">I4s", size, kind) + content
