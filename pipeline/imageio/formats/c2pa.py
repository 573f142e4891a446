"""Content credentials: where files of each kind keep their C2PA manifest store, a JUMBF box (ISO 19566-5)."""

from collections.abc import Callable, Iterable

from pipeline.imageio.formats.isobmff import iter_boxes, pack_box

C2PA_BOX_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
"""Begins a box `uuid` with content credentials, in HEIF and AVIF."""
_STORE_UUID = bytes.fromhex("63327061001100108000" + "00aa00389b71")  # the type of a JUMBF box that is a manifest store
_SEGMENT_START = b"JP"
_SEGMENT_HEAD_BYTES, _BOX_HEAD_BYTES, _LONG_BOX_HEAD_BYTES = 8, 8, 16
_FULL_BOX_HEAD_BYTES, _MERKLE_OFFSET_BYTES = 4, 8
_STORE_PURPOSES = (b"manifest", b"original", b"update")


def join_credential_segments(segments: Iterable[bytes]) -> bytes | None:
    """Return the manifest store in the segments APP11 of a JPEG; None if there is none.

    A box may span segments: each repeats its header and has the number of the box and its own (ISO 19566-5, D.2).

    Args:
        segments: their contents.
    """
    boxes: dict[bytes, dict[int, bytes]] = {}
    for content in segments:
        if content.startswith(_SEGMENT_START) and len(content) >= _SEGMENT_HEAD_BYTES + _BOX_HEAD_BYTES:
            boxes.setdefault(content[2:4], {})[int.from_bytes(content[4:8])] = content[_SEGMENT_HEAD_BYTES:]
    for parts in boxes.values():
        first, *others = (parts[number] for number in sorted(parts))
        head = _LONG_BOX_HEAD_BYTES if first[:4] == b"\0\0\0\1" else _BOX_HEAD_BYTES
        box = first + b"".join(part[head:] for part in others)
        if is_manifest_store(box):
            return box
    return None


def read_credential_box(
    data: bytes, unpack: Callable[[bytes, bytes], tuple[bytes, bytes]] = lambda kind, content: (kind, content)
) -> bytes | None:
    """Return the manifest store in a box of a HEIF, AVIF, JPEG XL or JP2 file; None if there is none.

    Args:
        data: the file.
        unpack: returns the name and content of a box, given those in the file.
    """
    for stored_kind, stored in iter_boxes(data):
        is_packed = stored_kind == b"brob" and stored.startswith(b"jumb")
        if stored_kind not in (b"uuid", b"jumb") and not is_packed:
            continue
        kind, content = unpack(stored_kind, stored)
        if kind == b"jumb" and is_manifest_store(box := pack_box(kind, content)):
            return box
        if kind == b"uuid" and content.startswith(C2PA_BOX_UUID):
            purpose, _, rest = content[len(C2PA_BOX_UUID) + _FULL_BOX_HEAD_BYTES :].partition(b"\0")
            if purpose in _STORE_PURPOSES:
                return rest if rest[4:8] == b"jumb" else rest[_MERKLE_OFFSET_BYTES:]
    return None


def is_manifest_store(box: bytes) -> bool:
    """Whether a JUMBF box, whose first child states its type, is a manifest store."""
    head = _LONG_BOX_HEAD_BYTES if box[:4] == b"\0\0\0\1" else _BOX_HEAD_BYTES
    description = box[head : head + _BOX_HEAD_BYTES + len(_STORE_UUID)]
    return box[4:8] == b"jumb" and description[4:8] == b"jumd" and description.endswith(_STORE_UUID)
