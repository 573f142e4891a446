"""The directories of a TIFF file: those of its pages, and the subdirectories that belong to them."""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.imageio.metadata.ifd import Ifd, directory_layout, read_ifd

NEW_SUBFILE_TYPE, OLD_SUBFILE_TYPE, WIDTH, HEIGHT, COMPRESSION, PHOTOMETRIC = 254, 255, 256, 257, 259, 262
PAGE_NAME, SUB_IFDS = 285, 330
_INTEGER_FORMATS = {1: "B", 3: "H", 4: "I", 13: "I"}  # by field type
_MAX_DEPTH = 4  # of subdirectories in subdirectories; writers of pyramids need one


@dataclass(frozen=True)
class Directory:
    """A directory of a file.

    Attributes:
        offset: where it starts.
        tags: all its tags.
        subdirectories: those that its tag SubIFDs refer to, in their order.
    """

    offset: int
    tags: Ifd
    subdirectories: tuple["Directory", ...] = ()

    @property
    def width(self) -> int:
        """Pixels per row; 0 if it is not stated."""
        return first_integer(self.tags, WIDTH) or 0

    @property
    def height(self) -> int:
        """Rows; 0 if it is not stated."""
        return first_integer(self.tags, HEIGHT) or 0


def read_directories(data: bytes, file: Any) -> list[Directory]:  # noqa: ANN401 — tifffile's types say Any
    """Return the directories of the pages in their order, each with its subdirectories.

    Args:
        data: the file.
        file: the same, opened by tifffile.

    Raises:
        ValueError: the directories form a cycle.
    """
    offsets: dict[int, None] = {}
    for page in file.pages:
        if page.offset in offsets:
            raise ValueError(f"its pages form a cycle after page {len(offsets)}")
        offsets[page.offset] = None
    reader = _DirectoryReader(data, file.byteorder, file.is_bigtiff, set(offsets))
    return [reader.read(offset) for offset in offsets]


def iter_all(directories: Iterable[Directory]) -> Iterator[Directory]:
    """Yield directories, each followed by its subdirectories."""
    for directory in directories:
        yield directory
        yield from iter_all(directory.subdirectories)


def first_integer(tags: Ifd, code: int) -> int | None:
    """Return the first value of a tag of integers; None if it is missing or of another type."""
    return next(iter(read_integers(tags, code)), None)


def read_integers(tags: Ifd, code: int) -> tuple[int, ...]:
    """Return the values of a tag of integers; none if it is missing or of another type."""
    tag = tags.tags.get(code)
    if tag is None or tag.field_type not in _INTEGER_FORMATS:
        return ()
    kind = _INTEGER_FORMATS[tag.field_type]
    count = min(tag.count, len(tag.data) // struct.calcsize(kind))
    return struct.unpack_from(f"{tags.byte_order}{count}{kind}", tag.data)


class _DirectoryReader:
    """Reads directories, each subdirectory once: references to pages, and to what has been read, are ignored."""

    def __init__(self, data: bytes, byte_order: str, is_bigtiff: bool, pages: set[int]) -> None:
        """Take a file and the offsets of its pages."""
        self._data, self._byte_order, self._is_bigtiff = data, byte_order, is_bigtiff
        self._seen = pages

    def read(self, offset: int, depth: int = 0) -> Directory:
        """Read the directory at an offset; `depth` is how many directories it is below."""
        tags = read_ifd(self._data, offset, self._byte_order, is_bigtiff=self._is_bigtiff)
        if depth == _MAX_DEPTH and SUB_IFDS in tags.tags:
            raise ValueError(f"its subdirectories are nested more than {_MAX_DEPTH} deep")
        starts = self._with_linked(read_integers(tags, SUB_IFDS))
        return Directory(offset, tags, tuple(self.read(start, depth + 1) for start in starts))

    def _with_linked(self, offsets: tuple[int, ...]) -> list[int]:
        """Return the offsets of subdirectories, with those that their links lead to; most writers list and link all."""
        pending = [offset for offset in dict.fromkeys(offsets) if offset and offset not in self._seen]
        self._seen.update(pending)
        found = []
        for offset in pending:
            while offset:
                found.append(offset)
                offset = self._read_link(offset)
                if offset in self._seen:
                    break
                self._seen.add(offset)
        return found

    def _read_link(self, offset: int) -> int:
        """Return the offset of the directory that the one at an offset leads to; 0 if there is none."""
        layout = directory_layout(is_bigtiff=self._is_bigtiff)
        try:
            (count,) = struct.unpack_from(self._byte_order + layout.count, self._data, offset)
            end = offset + layout.link_offset(count)
            return int(struct.unpack_from(self._byte_order + layout.pointer, self._data, end)[0])
        except (struct.error, OverflowError):
            return 0
