"""Sparse members of tars: files of which only the parts that are not zeros are stored."""

import tarfile
from collections.abc import Callable, Iterator
from typing import BinaryIO

_BLOCK = tarfile.BLOCKSIZE
_MAX_MAP_BYTES = 4 * 2**20
_REGION_BYTES, _NUMBER_BYTES = 24, 12
_FIRST_REGION, _N_REGIONS, _EXTENDED_FLAG, _REAL_SIZE = 386, 4, 482, 483  # in the header
_N_MORE_REGIONS, _MORE_EXTENDED_FLAG = 21, 504  # in each block that continues the map

Region = tuple[int, int]
"""Where some stored bytes belong in the file, and how many they are."""


def read_gnu_sparse_map(file: BinaryIO, offset: int) -> tuple[str, int, int]:
    """Read the map in a header of GNU's old format, and in the blocks that follow it.

    Args:
        file: the tar.
        offset: where the header starts.

    Returns:
        Offsets and lengths separated by commas, the size of the file, and where its stored bytes start.

    Raises:
        ValueError: it is corrupt or beyond the bounds.
    """
    file.seek(offset)
    block, offset = file.read(_BLOCK), offset + _BLOCK
    size = _parse_number(block[_REAL_SIZE : _REAL_SIZE + _NUMBER_BYTES])
    numbers = list(_iter_numbers(block, _FIRST_REGION, _N_REGIONS))
    is_extended = block[_EXTENDED_FLAG] != 0
    while is_extended:
        block, offset = file.read(_BLOCK), offset + _BLOCK
        if len(block) < _BLOCK or len(numbers) * _NUMBER_BYTES > _MAX_MAP_BYTES:
            raise ValueError(f"the map of a sparse member is truncated or too long at byte {offset}")
        numbers += _iter_numbers(block, 0, _N_MORE_REGIONS)
        is_extended = block[_MORE_EXTENDED_FLAG] != 0
    return ",".join(map(str, numbers)), size, offset


def parse_sparse_map(text: str) -> list[Region]:
    """Return the regions of a map: offsets and lengths separated by commas.

    Raises:
        ValueError: it is none.
    """
    numbers = [_parse_decimal(number) for number in text.split(",")] if text else []
    if len(numbers) % 2:
        raise ValueError("the map of the sparse member has an offset without a length")
    return [(offset, length) for offset, length in zip(numbers[::2], numbers[1::2], strict=True) if length]


def read_stored_map(read: Callable[[int, int], bytes], stored_size: int) -> tuple[list[Region], int]:
    """Read the map with which the stored bytes of a member of format 1.0 begin.

    Args:
        read: returns the stored bytes from one position up to another.
        stored_size: how many there are.

    Returns:
        The regions, and how many bytes the map takes.

    Raises:
        ValueError: it is corrupt or beyond the bounds.
    """
    end = min(_BLOCK, stored_size)
    lines = read(0, end).split(b"\n")
    count = _parse_decimal(lines[0].decode("ascii", "replace"))
    while len(lines) - 1 < 1 + 2 * count:
        if end >= min(stored_size, _MAX_MAP_BYTES) or 2 * count > _MAX_MAP_BYTES:
            raise ValueError(f"the map of the sparse member, of {count} regions, is truncated or too long")
        end = min(2 * end, stored_size, _MAX_MAP_BYTES)
        lines = read(0, end).split(b"\n")
    numbers = [line.decode("ascii", "replace") for line in lines[1 : 1 + 2 * count]]
    map_bytes = len(lines[0]) + 1 + sum(len(number) + 1 for number in numbers)
    return parse_sparse_map(",".join(numbers)), -(-map_bytes // _BLOCK) * _BLOCK


def expand(data: bytes, regions: list[Region], size: int) -> bytes:
    """Return a sparse file with its zeros.

    Args:
        data: its stored bytes, without a map.
        regions: where they belong.
        size: bytes of the file.

    Raises:
        ValueError: the regions overlap, or do not fit into the file or to the bytes.
    """
    check_regions(regions, size)
    expanded, position = bytearray(size), 0
    for offset, length in regions:
        expanded[offset : offset + length] = data[position : position + length]
        position += length
    if position != len(data) or len(expanded) != size:
        raise ValueError(f"the map of the sparse member needs {position} stored bytes; there are {len(data)}")
    return bytes(expanded)


def check_regions(regions: list[Region], size: int) -> None:
    """Raise ValueError if regions overlap or are outside a file of `size` bytes."""
    end = 0
    for offset, length in regions:
        if offset < end or offset + length > size:
            raise ValueError(f"the map of the sparse member does not fit a file of {size} bytes at {offset}")
        end = offset + length


def _iter_numbers(block: bytes, start: int, n_regions: int) -> Iterator[int]:
    """Yield the offsets and lengths of a part of a GNU map; unused places are left out."""
    for position in range(start, start + n_regions * _REGION_BYTES, _REGION_BYTES):
        region = block[position : position + _REGION_BYTES]
        offset, length = _parse_number(region[:_NUMBER_BYTES]), _parse_number(region[_NUMBER_BYTES:])
        if length:
            yield from (offset, length)


def _parse_number(field: bytes) -> int:
    """Return a number of a header: octal digits, or binary if the first bit is set."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    return int(field.partition(b"\0")[0].strip() or b"0", 8)


def _parse_decimal(digits: str) -> int:
    if not (digits.isdecimal() and digits.isascii() and len(digits) <= 19):
        raise ValueError(f"the map of the sparse member has {digits[:40]!r} where a number belongs")
    return int(digits)
