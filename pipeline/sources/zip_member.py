"""Zips: a member of a ZIP file out of the bytes that lie there, whole or not at all."""

import struct
import sys
import zlib

from pipeline.errors import Code, ImageError

_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _CRC_BEHIND = 1, 8
_HEADER = struct.Struct("<4s2xHH4xI8xHH")  # signature, flags, method, CRC, lengths of name and extra field
_CRC = struct.Struct("<I")
_BEHIND = b"PK\x07\x08"
OVERHEAD = _HEADER.size + 2 * 65535 + len(_BEHIND) + _CRC.size
"""Bytes that may lie around a member's own: its header with the longest names, and its CRC behind it."""


def unzipped(data: bytes, size: int, most: int) -> bytes:
    """The contents of a member.

    Args:
        data: from its header on, `OVERHEAD` bytes more than it takes if there are so many.
        size: bytes that it takes.
        most: bytes that are inflated.

    Raises:
        ImageError: it is damaged, encrypted, compressed in a way that is not read, or larger.
    """
    signature, flags, method, crc, name, extra = _HEADER.unpack_from(data.ljust(_HEADER.size, b"\0"))
    if signature != b"PK\x03\x04":
        raise ImageError(Code.DAMAGED, "the ZIP file has no member where its directory says")
    if flags & _ENCRYPTED or method not in (_STORED, _DEFLATED):
        how = "encrypted" if flags & _ENCRYPTED else f"compressed by method {method}"
        raise ImageError(
            Code.UNSUPPORTED_FORMAT, f"in its ZIP file it is {how}; members that are stored or deflated are read"
        )
    start = _HEADER.size + name + extra
    content = data[start : start + size]
    if len(content) < size:
        raise ImageError(Code.DAMAGED, "in its ZIP file it is cut short")
    found = content if method == _STORED else _inflated(content, most)
    stated = _crc_behind(data[start + size :]) if flags & _CRC_BEHIND else crc
    if zlib.crc32(found) not in (stated, crc):
        raise ImageError(Code.DAMAGED, "in its ZIP file it has not the bytes of its checksum")
    return found


def _inflated(content: bytes, most: int) -> bytes:
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        found = inflating.decompress(content, min(most + 1, sys.maxsize))
    except zlib.error as error:
        raise ImageError(Code.DAMAGED, f"in its ZIP file it is damaged: {error}") from error
    if len(found) > most:
        raise ImageError(Code.TOO_LARGE, f"inflated it has more than limits.max_bytes = {most}")
    if not inflating.eof:
        raise ImageError(Code.DAMAGED, "in its ZIP file it is cut short")
    return found


def _crc_behind(rest: bytes) -> int:
    """The checksum that follows a member whose header was written before it was known."""
    return int(_CRC.unpack(rest.removeprefix(_BEHIND)[: _CRC.size].ljust(_CRC.size, b"\0"))[0])
