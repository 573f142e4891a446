"""Boxes of ISO base media files, of which JP2, JPEG XL, HEIF and AVIF files consist."""

import struct
from collections.abc import Collection, Iterator

from PIL import Image

_CONTAINER_BRANDS = (b"mif1", b"msf1")  # of images and of sequences, whatever codec they are coded with


def iter_boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and content of consecutive boxes, up to the first one whose size is impossible."""
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
    """Return a box.

    Raises:
        ValueError: it would be larger than 4 GB.
    """
    size = len(content) + 8
    if size >= 2**32:
        raise ValueError(f"{size} bytes exceed the size of a box '{kind.decode()}'")
    return struct.pack(">I4s", size, kind) + content


def has_brand(data: bytes, brands: Collection[bytes]) -> bool:
    """Whether a file has one of the brands: as its major one, or as a compatible one of a codec-neutral container."""
    if data[4:8] != b"ftyp":
        return False
    major = data[8:12]
    if major in brands:
        return True
    compatible = data[16 : int.from_bytes(data[:4])]
    return major in _CONTAINER_BRANDS and any(
        compatible[start : start + 4] in brands for start in range(0, len(compatible), 4)
    )


def drop_unused_colours(image: Image.Image) -> Image.Image:
    """Return an RGBA image that is grey as grey with alpha; one with colours as it is."""
    red, green, blue, alpha = image.split()
    if red.tobytes() == green.tobytes() == blue.tobytes():
        return Image.merge("LA", (red, alpha))
    return image
