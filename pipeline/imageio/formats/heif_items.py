"""The items of HEIF and AVIF files: whether the photo is turned for display, and its EXIF block as it is stored."""

import struct
from collections.abc import Iterator

from pipeline.imageio.formats.isobmff import iter_boxes
from pipeline.imageio.metadata.metadata import EXIF_HEADER

_TRANSFORMS = (b"irot", b"imir")
_FULL_BOX_HEAD = 4  # version and flags
_MAX_ITEMS = 2**16


def has_orientation_property(data: bytes) -> bool:
    """Whether the properties of the primary item turn or mirror it; decoders obey them and not EXIF."""
    boxes = _read_meta_boxes(data)
    try:
        (primary,) = struct.unpack_from(">I" if boxes[b"pitm"][0] else ">H", boxes[b"pitm"], _FULL_BOX_HEAD)
        properties = dict(iter_boxes(boxes[b"iprp"]))
        kinds = [kind for kind, _ in iter_boxes(properties[b"ipco"])]
        indices = [index for item, index in _iter_associations(properties[b"ipma"]) if item == primary]
    except (KeyError, IndexError, struct.error):
        return False
    return any(kinds[index - 1] in _TRANSFORMS for index in indices if 0 < index <= len(kinds))


def read_stored_exif(data: bytes) -> bytes | None:
    """Return the EXIF block, from the TIFF header on, with the orientation that it states; None if there is none."""
    boxes = _read_meta_boxes(data)
    try:
        items = [item for item, kind in _iter_items(boxes[b"iinf"]) if kind == b"Exif"]
        block = b"".join(_iter_extents(boxes[b"iloc"], items[0], data, boxes.get(b"idat", b"")))
        (skipped,) = struct.unpack_from(">I", block)
    except (KeyError, IndexError, struct.error):
        return None
    return block[4 + skipped :].removeprefix(EXIF_HEADER) or None


def _read_meta_boxes(data: bytes) -> dict[bytes, bytes]:
    """Return the boxes that describe the items of a file; none if it has none."""
    meta = next((content for kind, content in iter_boxes(data) if kind == b"meta"), b"")
    return dict(iter_boxes(meta[_FULL_BOX_HEAD:]))


def _iter_associations(box: bytes) -> Iterator[tuple[int, int]]:
    """Yield the number of an item and the index of one of its properties, counted from 1."""
    is_wide = bool(box[3] & 1)
    (count,) = struct.unpack_from(">I", box, _FULL_BOX_HEAD)
    offset = _FULL_BOX_HEAD + 4
    for _ in range(min(count, _MAX_ITEMS)):
        (item,) = struct.unpack_from(">I" if box[0] else ">H", box, offset)
        offset += 4 if box[0] else 2
        for start in range(offset + 1, offset + 1 + box[offset] * (2 if is_wide else 1), 2 if is_wide else 1):
            yield item, struct.unpack_from(">H", box, start)[0] & 0x7FFF if is_wide else box[start] & 0x7F
        offset += 1 + box[offset] * (2 if is_wide else 1)


def _iter_items(box: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and kind of each item."""
    for kind, content in iter_boxes(box[_FULL_BOX_HEAD + (4 if box[0] else 2) :]):
        if kind == b"infe" and content[0] in (2, 3):
            id_format = ">I2x4s" if content[0] == 3 else ">H2x4s"
            yield struct.unpack_from(id_format, content, _FULL_BOX_HEAD)


def _iter_extents(box: bytes, wanted: int, data: bytes, item_data: bytes) -> Iterator[bytes]:
    """Yield the parts of the content of an item."""
    version = box[0]
    offset_size, length_size = box[4] >> 4, box[4] & 15
    base_size, index_size = box[5] >> 4, (box[5] & 15 if version else 0)
    position = 6

    def read(size: int) -> int:
        nonlocal position
        position += size
        if position > len(box):
            raise IndexError("the box of locations is cut short")
        return int.from_bytes(box[position - size : position])

    for _ in range(min(read(4 if version == 2 else 2), _MAX_ITEMS)):
        item = read(4 if version == 2 else 2)
        source = item_data if version and read(2) & 15 == 1 else data
        read(2)  # which file; only this one is supported by decoders
        base = read(base_size)
        for _ in range(read(2)):
            read(index_size)
            start, length = base + read(offset_size), read(length_size)
            if item == wanted:
                yield source[start : start + length]
