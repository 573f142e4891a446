"""IFDs: the directories of tags that TIFF files and EXIF blocks are made of, copied bit for bit."""

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

EXIF, GPS, INTEROP = 0x8769, 0x8825, 0xA005
ORIENTATION = 0x0112
IMAGE_WIDTH, IMAGE_HEIGHT, PIXELS_ACROSS, PIXELS_DOWN = 0x0100, 0x0101, 0xA002, 0xA003
_CHILDREN = (EXIF, GPS, INTEROP)
_WHOLE = {3: "H", 4: "I"}  # kinds that orientations come in: the first is the rule, TIFF readers take the second too
# bytes a value, by its kind
SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
}


@dataclass(frozen=True)
class Tag:
    """One tag.

    Attributes:
        kind: the type number of its values.
        count: how many there are.
        data: their bytes, in the byte order of the file.
    """

    kind: int
    count: int
    data: bytes


@dataclass
class Ifd:
    """A directory.

    Attributes:
        order: `<` or `>`, the byte order.
        tags: by their codes, without those that point to other directories.
        children: the EXIF, GPS and interoperability directories, by the codes of the tags that point to them.
    """

    order: str
    tags: dict[int, Tag] = field(default_factory=dict)
    children: dict[int, "Ifd"] = field(default_factory=dict)

    def dump(self, base: int, following: int = 0) -> bytes:
        """The directory as it lies in a file at offset `base`; `following` is the offset of the next one."""
        own = dict(self.tags) | {code: Tag(4, 1, b"") for code in self.children}
        table = struct.pack(self.order + "H", len(own))
        end = base + 2 + 12 * len(own) + 4
        behind = b""
        for code, tag in sorted(own.items()):
            value = tag.data
            if code in self.children:
                value = struct.pack(self.order + "I", end + len(behind))
                behind += self.children[code].dump(end + len(behind))
            elif len(value) > 4:
                value = struct.pack(self.order + "I", end + len(behind))
                behind += tag.data + b"\0" * (len(tag.data) % 2)
            table += struct.pack(self.order + "HHI", code, tag.kind, tag.count) + value.ljust(4, b"\0")
        return table + struct.pack(self.order + "I", following) + behind

    def block(self) -> bytes:
        """The directory as an EXIF block of its own."""
        return struct.pack(self.order + "2sHI", b"II" if self.order == "<" else b"MM", 42, 8) + self.dump(8)

    def without(self, codes: Collection[int]) -> "Ifd":
        """A copy without some tags and directories, wherever they are."""
        tags = {code: tag for code, tag in self.tags.items() if code not in codes}
        children = {code: child.without(codes) for code, child in self.children.items() if code not in codes}
        return Ifd(self.order, tags, children)

    def with_numbers(self, numbers: Mapping[int, int]) -> "Ifd":
        """A copy in which some tags of one whole number, where there are any, say another."""
        tags = dict(self.tags)
        for code, tag in tags.items():
            if code in numbers and _holds(tag.kind, tag.count, numbers[code]):
                tags[code] = replace(tag, data=struct.pack(self.order + _WHOLE[tag.kind], numbers[code]))
        children = {code: child.with_numbers(numbers) for code, child in self.children.items()}
        return Ifd(self.order, tags, children)


def read_ifd(data: bytes | memoryview, offset: int, order: str, *, big: bool = False, depth: int = 0) -> Ifd:
    """Read a directory and those below it; tags that lie outside the data are left out.

    Args:
        data: the file or block that offsets count in.
        offset: where the directory starts.
        order: `<` or `>`.
        big: whether the file is a BigTIFF.
        depth: of the recursion, which ends at 3: files may point in circles.
    """
    found = Ifd(order)
    head, entry, pointer = ("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I")
    try:
        (count,) = struct.unpack_from(order + head, data, offset)
    except struct.error:
        return found
    width = struct.calcsize(order + entry)
    for place in range(min(count, 65535)):
        start = offset + struct.calcsize(head) + place * width
        if start + width > len(data):
            break
        code, kind, values, inline = struct.unpack_from(order + entry, data, start)
        size = SIZES.get(kind, 0) * values
        where = struct.unpack(order + pointer, inline)[0]
        if code in _CHILDREN:
            if depth < 3:
                found.children[code] = read_ifd(data, where, order, big=big, depth=depth + 1)
        elif 0 < size <= len(inline):
            found.tags[code] = Tag(kind, values, inline[:size])
        elif 0 < size <= len(data) - where:
            found.tags[code] = Tag(kind, values, bytes(data[where : where + size]))
    return found


def block_order(block: bytes) -> str | None:
    """The byte order of an EXIF block or classic TIFF file; None if it is none."""
    return {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])


def read_block(block: bytes) -> Ifd | None:
    """The main directory of an EXIF block; None if it is none."""
    order = block_order(block)
    if order is None or len(block) < 8:
        return None
    return read_ifd(block, struct.unpack_from(order + "I", block, 4)[0], order)


def orientation_of(block: bytes | None) -> int:
    """The orientation that an EXIF block states, 1 to 8; 1 where it states none."""
    found = read_block(block) if block else None
    tag = found.tags.get(ORIENTATION) if found else None
    if found is None or tag is None or tag.kind not in _WHOLE:
        return 1
    value = int(struct.unpack_from(found.order + _WHOLE[tag.kind], tag.data)[0])
    return value if 1 <= value <= 8 else 1


def orientation_alone(orientation: int) -> bytes:
    """An EXIF block that says nothing else."""
    return Ifd("<", {ORIENTATION: Tag(3, 1, struct.pack("<H", orientation))}).block()


def with_orientation(block: bytes, orientation: int) -> bytes:
    """An EXIF block whose orientation, where it states one, is another; everything else stays where it was."""
    return with_numbers(block, {ORIENTATION: orientation})


def of_size(width: int, height: int) -> dict[int, int]:
    """What tags say of a photo of this size, by their codes."""
    return {IMAGE_WIDTH: width, IMAGE_HEIGHT: height, PIXELS_ACROSS: width, PIXELS_DOWN: height}


def with_numbers(block: bytes, numbers: Mapping[int, int]) -> bytes:
    """An EXIF block in which some tags of one whole number, where it has them, say another; nothing else moves."""
    data, order = bytearray(block), block_order(block)
    if order and len(block) >= 8:
        _put_numbers(data, struct.unpack_from(order + "I", data, 4)[0], order, numbers, (EXIF,))
    return bytes(data)


def _holds(kind: int, count: int, number: int) -> bool:
    """Whether a tag of so many values of a kind is one whole number, and another one fits in its place."""
    return kind in _WHOLE and count == 1 and number < 1 << 8 * SIZES[kind]


def _put_numbers(
    data: bytearray, start: int, order: str, numbers: Mapping[int, int], children: Collection[int]
) -> None:
    """Write numbers into a directory and into those below it, as far as they lie in the data."""
    if start + 2 > len(data):
        return
    (count,) = struct.unpack_from(order + "H", data, start)
    for entry in range(start + 2, min(start + 2 + 12 * count, len(data) - 11), 12):
        code, kind, values, value = struct.unpack_from(order + "HHII", data, entry)
        if code in children:
            _put_numbers(data, value, order, numbers, ())
        elif code in numbers and _holds(kind, values, numbers[code]):
            struct.pack_into(order + _WHOLE[kind], data, entry + 8, numbers[code])
