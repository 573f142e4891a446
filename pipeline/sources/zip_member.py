"""Extracting a member of a ZIP file from a range of its bytes, with its checksum verified."""

import struct
import sys
import zlib

from pipeline.errors import ErrorCode, ImageError

_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _HAS_DATA_DESCRIPTOR = 1, 8
_HEADER = struct.Struct("<4s2xHH4xI8xHH")  # signature, flags, method, CRC, lengths of name and extra field
_CRC = struct.Struct("<I")
_DATA_DESCRIPTOR_SIGNATURE = b"PK\x07\x08"
MAX_OVERHEAD_BYTES = _HEADER.size + 2 * 65535 + len(_DATA_DESCRIPTOR_SIGNATURE) + _CRC.size
"""Bytes that may lie around a member's data: its header with the longest names, and its CRC after the data."""


def extract_member(data: bytes, size: int, max_bytes: int | None) -> bytes:
    """Return the contents of a member.

    Args:
        data: the file from the member's header on: its data and `MAX_OVERHEAD_BYTES` more, if there are as many.
        size: bytes that its data take.
        max_bytes: the most bytes that it may inflate to; None for any number.

    Raises:
        ImageError: it is corrupt, encrypted, compressed by a method that is not read, or inflates to more.
    """
    signature, flags, method, crc, name, extra = _HEADER.unpack_from(data.ljust(_HEADER.size, b"\0"))
    if signature != b"PK\x03\x04":
        raise ImageError(
            ErrorCode.DAMAGED, "the ZIP file has no member where its directory points; restore it from a backup"
        )
    if flags & _ENCRYPTED or method not in (_STORED, _DEFLATED):
        how = "encrypted" if flags & _ENCRYPTED else f"compressed by method {method}"
        raise ImageError(
            ErrorCode.UNSUPPORTED_FORMAT,
            f"the ZIP member is {how}; only stored and deflated members are read: pack the file again",
        )
    start = _HEADER.size + name + extra
    content = data[start : start + size]
    if len(content) < size:
        raise ImageError(ErrorCode.DAMAGED, "the ZIP member is truncated")
    found = content if method == _STORED else _inflate(content, sys.maxsize if max_bytes is None else max_bytes)
    expected_crc = _data_descriptor_crc(data[start + size :]) if flags & _HAS_DATA_DESCRIPTOR else crc
    if zlib.crc32(found) not in (expected_crc, crc):
        raise ImageError(ErrorCode.DAMAGED, "the checksum of the ZIP member does not match its bytes")
    return found


def _inflate(content: bytes, max_bytes: int) -> bytes:
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        found = decompressor.decompress(content, min(max_bytes + 1, sys.maxsize))
    except zlib.error as error:
        raise ImageError(ErrorCode.DAMAGED, f"the ZIP member cannot be inflated: {error}") from error
    if len(found) > max_bytes:
        raise ImageError(
            ErrorCode.TOO_LARGE, f"the ZIP member inflates to more than limits.max_bytes = {max_bytes} bytes"
        )
    if not decompressor.eof:
        raise ImageError(ErrorCode.DAMAGED, "the ZIP member is truncated")
    return found


def _data_descriptor_crc(rest: bytes) -> int:
    """Return the checksum after the data of a member whose header was written before it was known."""
    return int(_CRC.unpack(rest.removeprefix(_DATA_DESCRIPTOR_SIGNATURE)[: _CRC.size].ljust(_CRC.size, b"\0"))[0])
