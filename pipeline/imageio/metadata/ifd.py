"""IFDs, the directories of tags in TIFF files and EXIF blocks, read and written bit for bit."""

import struct
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

EXIF_IFD, GPS_IFD, INTEROP_IFD = 0x8769, 0x8825, 0xA005
ORIENTATION = 0x0112
IMAGE_WIDTH, IMAGE_HEIGHT, PIXEL_X_DIMENSION, PIXEL_Y_DIMENSION = 0x0100, 0x0101, 0xA002, 0xA003
_CHILD_IFDS = (EXIF_IFD, GPS_IFD, INTEROP_IFD)
_INTEGER_FORMATS = {3: "H", 4: "I"}  # by type; orientations should have the first, TIFF readers accept the second too
TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes per value, by type number; the last three occur in BigTIFF only."""
_NARROW_TYPES = {16: ("Q", 4, "I"), 17: ("q", 9, "i"), 18: ("Q", 13, "I")}
"""BigTIFF's types of 64 bits: their format, and the type of 32 bits that takes their place with its format."""
ENTRY_BYTES = 12
"""Size of an entry in a directory, except in BigTIFFs."""


@dataclass(frozen=True)
class DirectoryLayout:
    """How a directory is stored.

    Attributes:
        count: the format of the number of entries.
        pointer: the format of offsets, and of the number of values of a tag.
        pointer_type: the type number of tags that point to directories.
        inline_bytes: up to how many bytes a value stands in its entry.
    """

    count: str
    pointer: str
    pointer_type: int
    inline_bytes: int

    @property
    def entry_bytes(self) -> int:
        """Bytes of an entry."""
        return 4 + 2 * self.inline_bytes

    def size_of(self, n_entries: int) -> int:
        """Return the bytes of a directory without the values outside of it."""
        return self.link_offset(n_entries) + self.inline_bytes

    def link_offset(self, n_entries: int) -> int:
        """Return where, in a directory, the offset of the next one stands."""
        return struct.calcsize(self.count) + n_entries * self.entry_bytes


_CLASSIC, _BIGTIFF = DirectoryLayout("H", "I", 4, 4), DirectoryLayout("Q", "Q", 18, 8)
_MAX_DEPTH = 3
_MIN_VALUE_BYTES = 2**16  # that a file may have; small values may be shared


@dataclass(frozen=True)
class Tag:
    """A tag.

    Attributes:
        field_type: the type number of its values.
        count: the number of values.
        data: their bytes, in the byte order of the file.
    """

    field_type: int
    count: int
    data: bytes


@dataclass
class Ifd:
    """A directory.

    Attributes:
        byte_order: `<` or `>`.
        tags: by code, without those that point to other directories.
        children: the EXIF, GPS and interoperability directories, by the codes of the tags that point to them.
    """

    byte_order: str
    tags: dict[int, Tag] = field(default_factory=dict)
    children: dict[int, "Ifd"] = field(default_factory=dict)

    @property
    def needs_bigtiff(self) -> bool:
        """Whether a value needs 64 bits, which only BigTIFF has."""
        return any(tag.field_type in _NARROW_TYPES for tag in self.tags.values()) or any(
            child.needs_bigtiff for child in self.children.values()
        )

    def to_bytes(self, offset: int, next_offset: int = 0, *, is_bigtiff: bool = False) -> bytes:
        """Return the bytes of a directory that starts at `offset` in a file and leads to one at `next_offset`.

        Tags of 64 bits are left out unless it is one of a BigTIFF.
        """
        layout = _BIGTIFF if is_bigtiff else _CLASSIC
        own = {code: tag for code, tag in self.tags.items() if is_bigtiff or tag.field_type not in _NARROW_TYPES}
        own |= {code: Tag(layout.pointer_type, 1, b"") for code in self.children}
        table = bytearray(struct.pack(self.byte_order + layout.count, len(own)))
        end = offset + layout.size_of(len(own))
        value_area = bytearray()
        for code, tag in sorted(own.items()):
            value = tag.data
            if code in self.children:
                value = struct.pack(self.byte_order + layout.pointer, end + len(value_area))
                value_area += self.children[code].to_bytes(end + len(value_area), is_bigtiff=is_bigtiff)
            elif len(value) > layout.inline_bytes:
                value = struct.pack(self.byte_order + layout.pointer, end + len(value_area))
                value_area += tag.data + b"\0" * (len(tag.data) % 2)
            table += struct.pack(self.byte_order + "HH" + layout.pointer, code, tag.field_type, tag.count)
            table += value.ljust(layout.inline_bytes, b"\0")
        return bytes(table + struct.pack(self.byte_order + layout.pointer, next_offset) + value_area)

    def to_exif_block(self) -> bytes:
        """Return an EXIF block with this directory."""
        return struct.pack(self.byte_order + "2sHI", b"II" if self.byte_order == "<" else b"MM", 42, 8) + self.to_bytes(
            8
        )

    def without_tags(self, codes: Collection[int]) -> "Ifd":
        """Return a copy without some tags and directories, including those in children."""
        tags = {code: tag for code, tag in self.tags.items() if code not in codes}
        children = {code: child.without_tags(codes) for code, child in self.children.items() if code not in codes}
        return Ifd(self.byte_order, tags, children)

    def with_integers(self, numbers: Mapping[int, int]) -> "Ifd":
        """Return a copy with new values, by code, for tags of a single integer, including those in children."""
        tags = dict(self.tags)
        for code, tag in tags.items():
            if code in numbers and _fits_integer(tag.field_type, tag.count, numbers[code]):
                tags[code] = replace(
                    tag, data=struct.pack(self.byte_order + _INTEGER_FORMATS[tag.field_type], numbers[code])
                )
        children = {code: child.with_integers(numbers) for code, child in self.children.items()}
        return Ifd(self.byte_order, tags, children)


def directory_layout(*, is_bigtiff: bool) -> DirectoryLayout:
    """Return how the directories of a BigTIFF, or of a classic TIFF and EXIF, are stored."""
    return _BIGTIFF if is_bigtiff else _CLASSIC


def read_ifd(data: bytes | memoryview, offset: int, byte_order: str, *, is_bigtiff: bool = False) -> Ifd:
    """Read a directory and its children.

    Tags whose values are outside of the data are omitted, and so is what a file of this size can have only if its
    directories or values overlap: reading them all could take any time and memory.

    Args:
        data: the file or block that the offsets refer to.
        offset: where the directory starts.
        byte_order: `<` or `>`.
        is_bigtiff: whether the file is a BigTIFF.
    """
    return _Reading(data, byte_order, is_bigtiff).read(offset)


class _Reading:
    """Reads a directory and its children, at most as many entries and values as the data have room for."""

    def __init__(self, data: bytes | memoryview, byte_order: str, is_bigtiff: bool) -> None:
        self._data, self._byte_order = data, byte_order
        head, entry, pointer = ("Q", "HHQ8s", "Q") if is_bigtiff else ("H", "HHI4s", "I")
        self._head, self._entry, self._pointer = (struct.Struct(byte_order + form) for form in (head, entry, pointer))
        self._short_pointer = struct.Struct(byte_order + "I")  # of a type of 32 bits, which a BigTIFF may use too
        self._entries_left = len(data) // ENTRY_BYTES
        self._bytes_left = len(data) + _MIN_VALUE_BYTES

    def read(self, offset: int, depth: int = 0) -> Ifd:
        """Read the directory at an offset; `depth` is that of the recursion, as directories may form a cycle."""
        found = Ifd(self._byte_order)
        try:
            (count,) = self._head.unpack_from(self._data, offset)
        except struct.error:
            return found
        for index in range(min(count, 65535)):
            start = offset + self._head.size + index * self._entry.size
            if start + self._entry.size > len(self._data) or not self._entries_left:
                break
            self._entries_left -= 1
            code, kind, values, inline = self._entry.unpack_from(self._data, start)
            size = TYPE_SIZES.get(kind, 0) * values
            (where,) = self._short_pointer.unpack_from(inline) if size == 4 else self._pointer.unpack(inline)
            if code in _CHILD_IFDS:
                if depth < _MAX_DEPTH and code not in found.children:
                    found.children[code] = self.read(where, depth + 1)
            elif 0 < size <= len(inline):
                found.tags[code] = Tag(kind, values, inline[:size])
            elif 0 < size <= min(len(self._data) - where, self._bytes_left):
                self._bytes_left -= size
                found.tags[code] = Tag(kind, values, bytes(self._data[where : where + size]))
            if code in found.tags and kind in _NARROW_TYPES:
                _narrow_tag(found, code)
        return found


def _narrow_tag(directory: Ifd, code: int) -> None:
    """Store the integers of a tag of 64 bits in 32, which classic TIFF and EXIF have, if all of them fit."""
    tag = directory.tags[code]
    wide, narrow_type, narrow = _NARROW_TYPES[tag.field_type]
    order = directory.byte_order
    with suppress(struct.error):
        values = struct.unpack(f"{order}{tag.count}{wide}", tag.data)
        directory.tags[code] = Tag(narrow_type, tag.count, struct.pack(f"{order}{tag.count}{narrow}", *values))


def read_byte_order(block: bytes) -> str | None:
    """Return the byte order of an EXIF block or classic TIFF file; None if it is neither."""
    return {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])


def parse_exif_block(block: bytes) -> Ifd | None:
    """Return the main directory of an EXIF block; None if it is not an EXIF block."""
    order = read_byte_order(block)
    if order is None or len(block) < 8:
        return None
    return read_ifd(block, struct.unpack_from(order + "I", block, 4)[0], order)


def read_orientation(block: bytes | None) -> int:
    """Return the orientation that an EXIF block states, 1 to 8; 1 if it states none."""
    found = parse_exif_block(block) if block else None
    tag = found.tags.get(ORIENTATION) if found else None
    if found is None or tag is None or tag.field_type not in _INTEGER_FORMATS:
        return 1
    value = int(struct.unpack_from(found.byte_order + _INTEGER_FORMATS[tag.field_type], tag.data)[0])
    return value if 1 <= value <= 8 else 1


def make_orientation_exif(orientation: int) -> bytes:
    """Return an EXIF block that has an orientation only."""
    return Ifd("<", {ORIENTATION: Tag(3, 1, struct.pack("<H", orientation))}).to_exif_block()


def with_orientation(block: bytes, orientation: int) -> bytes:
    """Return an EXIF block with another orientation, if it states one; everything else keeps its offset."""
    return with_integers(block, {ORIENTATION: orientation})


def with_stated_orientation(block: bytes | None, orientation: int) -> bytes:
    """Return an EXIF block that states an orientation, whether it stated one before or not; None is an empty block."""
    changed = with_orientation(block, orientation) if block else make_orientation_exif(orientation)
    if read_orientation(changed) == orientation or (directory := parse_exif_block(changed)) is None:
        return changed
    directory.tags[ORIENTATION] = Tag(3, 1, struct.pack(directory.byte_order + "H", orientation))
    return directory.to_exif_block()


def size_tag_values(width: int, height: int) -> dict[int, int]:
    """Return the values, by code, of the tags that state the size of a photo."""
    return {IMAGE_WIDTH: width, IMAGE_HEIGHT: height, PIXEL_X_DIMENSION: width, PIXEL_Y_DIMENSION: height}


def with_integers(block: bytes, numbers: Mapping[int, int]) -> bytes:
    """Return an EXIF block with new values for those of its tags that are a single integer; all offsets are kept."""
    data, order = bytearray(block), read_byte_order(block)
    if order and len(block) >= 8:
        _write_integers(data, struct.unpack_from(order + "I", data, 4)[0], order, numbers, (EXIF_IFD,))
    return bytes(data)


def _fits_integer(kind: int, count: int, number: int) -> bool:
    """Whether a tag is a single integer, and another number fits in its place."""
    return kind in _INTEGER_FORMATS and count == 1 and number < 1 << 8 * TYPE_SIZES[kind]


def _write_integers(
    data: bytearray, start: int, order: str, numbers: Mapping[int, int], children: Collection[int]
) -> None:
    """Write numbers into a directory and into the first of each of its `children`, as far as they are in the data."""
    if start + 2 > len(data):
        return
    (count,) = struct.unpack_from(order + "H", data, start)
    pending = set(children)
    for entry in range(start + 2, min(start + 2 + ENTRY_BYTES * count, len(data) - ENTRY_BYTES + 1), ENTRY_BYTES):
        code, kind, values, value = struct.unpack_from(order + "HHII", data, entry)
        if code in pending:
            pending.remove(code)
            _write_integers(data, value, order, numbers, ())
        elif code in numbers and _fits_integer(kind, values, numbers[code]):
            struct.pack_into(order + _INTEGER_FORMATS[kind], data, entry + 8, numbers[code])
