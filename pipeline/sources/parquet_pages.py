"""The sizes of the pages of a Parquet column chunk, from their headers, before any is decompressed.

pyarrow decompresses a complete page at a time and shows no header of one. The headers are structs in Thrift's compact
protocol (https://github.com/apache/parquet-format); of each, the first two sizes are wanted and the rest is skipped.
"""

from typing import BinaryIO, NamedTuple

import pyarrow.parquet as pq

_HEADER_BYTES = (512, 2**16, 2**24)  # read for one header: what most need, and what pyarrow accepts at most
_MAX_DEPTH = 16


class PageSize(NamedTuple):
    """The size of one page.

    Attributes:
        stored: bytes in the file.
        decompressed: bytes after decompression.
    """

    stored: int
    decompressed: int


def read_page_sizes(file: BinaryIO, chunk: pq.ColumnChunkMetaData) -> list[PageSize]:
    """Return the sizes of the pages of a column chunk, its dictionary included.

    Raises:
        ValueError: a header is corrupt.
    """
    position = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < (chunk.dictionary_page_offset or 0) < position:
        position = chunk.dictionary_page_offset
    end, pages = position + chunk.total_compressed_size, []
    while position < end:
        header_bytes, page = _read_header(file, position, end)
        pages.append(page)
        position += header_bytes + page.stored
    return pages


def _read_header(file: BinaryIO, position: int, end: int) -> tuple[int, PageSize]:
    """Return the length of the header at a position, and the size of its page."""
    for n_bytes in _HEADER_BYTES:
        file.seek(position)
        data = file.read(min(n_bytes, end - position))
        try:
            return _parse_header(data)
        except IndexError:
            if len(data) < n_bytes:
                break
    raise ValueError(f"the page header at byte {position} is corrupt")


def _parse_header(data: bytes) -> tuple[int, PageSize]:
    reader = _CompactReader(data)
    sizes = reader.read_struct()
    stored, decompressed = sizes.get(3, -1), sizes.get(2, -1)
    if stored < 0 or decompressed < 0:
        raise ValueError(f"a page header has the sizes {stored} and {decompressed}")
    return reader.position, PageSize(stored, decompressed)


class _CompactReader:
    """Reads the integers of a struct and skips all else; raises IndexError where the data end."""

    def __init__(self, data: bytes) -> None:
        self._data, self.position = data, 0

    def read_struct(self, depth: int = 0) -> dict[int, int]:
        """Return the integer fields of the struct here, by their numbers."""
        if depth > _MAX_DEPTH:
            raise ValueError("a page header is nested too deeply")
        found, number = dict[int, int](), 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            value = self._value(head & 15, depth)
            if value is not None:
                found[number] = value
        return found

    def _value(self, kind: int, depth: int) -> int | None:
        """Return an integer, or skip another value."""
        if kind in (4, 5, 6):
            return self._integer()
        if kind == 12:
            self.read_struct(depth + 1)
        elif kind in (9, 10):
            head = self._byte()
            for _ in range(head >> 4 if head >> 4 < 15 else self._varint()):
                self._value(head & 15, depth + 1)
        elif kind not in (1, 2):
            self._skip({3: 1, 7: 8}[kind] if kind in (3, 7) else self._string_length(kind))
        return None

    def _string_length(self, kind: int) -> int:
        if kind != 8:
            raise ValueError(f"a page header has a field of the unknown type {kind}")
        return self._varint()

    def _skip(self, n_bytes: int) -> None:
        self.position += n_bytes
        if self.position > len(self._data):
            raise IndexError

    def _byte(self) -> int:
        byte = self._data[self.position]
        self.position += 1
        return byte

    def _varint(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 128:
            value |= (byte & 127) << shift
            shift += 7
        return value | byte << shift

    def _integer(self) -> int:
        """Return a signed number, whose sign is in its lowest bit."""
        value = self._varint()
        return value >> 1 ^ -(value & 1)
