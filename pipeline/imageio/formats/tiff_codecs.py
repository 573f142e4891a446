"""The image codecs inside TIFF that state a size of their own: WebP, JPEG XL, JPEG 2000, LERC, JPEG in planes."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import imagecodecs
from PIL import Image

from deepot.errors import UnsupportedImageError
from pipeline.imageio.formats.jxl_header import read_header

JPEG, LERC = 7, 34887
SEPARATE_PLANES = 2
_YCBCR = 6
_JPEG2000, _WEBP, _JPEG_XL, _JPEG_XL_OF_DNG = 34712, 50001, 50002, 52546
_LERC_PARAMETERS = 50674  # its version, and how the blobs are compressed again
_LERC_SIZE = struct.Struct("<II")
_LERC_SIGNATURE, _CHECKSUM_FROM_VERSION, _LERC_DEPTHS_FROM_VERSION = b"Lerc2 ", 3, 4
_LERC_OVERHEAD_BYTES = 2**16  # that a blob may have beyond its samples


def check_segments(data: bytes, page: Any) -> None:  # noqa: ANN401 — tifffile's types say Any
    """Check that each strip or tile of a page states the size that the page has for it, before any is decoded.

    A codec with a size of its own could otherwise take any memory, or leave pixels empty.

    Args:
        data: the file.
        page: a page whose `compression` is in `STATED_SIZES`, opened by tifffile.

    Raises:
        UnsupportedImageError: a segment states another size, or has pixels without values.
        ValueError: a segment is missing or damaged.
    """
    read_size = STATED_SIZES[int(page.compression)]
    for number, (width, height) in enumerate(_iter_segment_sizes(page)):
        offset, count = page.dataoffsets[number], page.databytecounts[number]
        if not 0 < count <= len(data) - offset:
            raise ValueError(f"strip or tile {number + 1} is not in the file")
        stated = read_size(data[offset : offset + count], page)
        if stated != (width, height):
            raise UnsupportedImageError(
                "unsupported_mode",
                f"strip or tile {number + 1}, in compression {page.compression.name} ({int(page.compression)}), states "
                f"{stated[0]} × {stated[1]} pixels instead of {width} × {height}; save it with LZW or deflate",
            )


def describe_unread_jpeg(page: Any) -> str | None:  # noqa: ANN401
    """Return the name of a coding of JPEG that is not read; None for any other page."""
    if page.compression == JPEG and page.planarconfig == SEPARATE_PLANES and page.photometric == _YCBCR:
        return "JPEG in separate planes of YCbCr"
    return None


def _iter_segment_sizes(page: Any) -> Iterator[tuple[int, int]]:  # noqa: ANN401
    """Yield (width, height) of each strip or tile, in the order in which they are stored."""
    planes = page.samplesperpixel if page.planarconfig == SEPARATE_PLANES else 1
    for _ in range(planes):
        if page.is_tiled:
            across, down = (
                -(-a // b) for a, b in ((page.imagewidth, page.tilewidth), (page.imagelength, page.tilelength))
            )
            yield from [(page.tilewidth, page.tilelength)] * (across * down)
        else:
            rows = min(page.rowsperstrip, page.imagelength)
            yield from (
                (page.imagewidth, min(rows, page.imagelength - top)) for top in range(0, page.imagelength, rows)
            )


def _size_by_pillow(name: str) -> Callable[[bytes, Any], tuple[int, int]]:
    """Return a function that reads the size in the header of a file in one of Pillow's formats."""

    def read_size(segment: bytes, page: Any) -> tuple[int, int]:  # noqa: ANN401
        del page
        with Image.open(io.BytesIO(segment), formats=[name]) as image:
            return image.size

    return read_size


def _jpeg_xl_size(segment: bytes, page: Any) -> tuple[int, int]:  # noqa: ANN401
    del page
    header = read_header(segment)
    if header.animated:
        raise UnsupportedImageError("unsupported_mode", "it has an animation in JPEG XL")
    return header.width, header.height


def _lerc_size(segment: bytes, page: Any) -> tuple[int, int]:  # noqa: ANN401
    """Return the size in the header of a LERC blob, which may be compressed again by deflate or Zstandard."""
    tag = page.tags.get(_LERC_PARAMETERS)
    compression = int(tag.value[1]) if tag is not None else 0
    most = (
        page.samplesperpixel
        * page.dtype.itemsize
        * max(page.imagewidth * page.imagelength, page.tilewidth * page.tilelength)
    )
    if compression == 1:
        decoder = zlib.decompressobj()
        segment = decoder.decompress(segment, most + _LERC_OVERHEAD_BYTES)
        if decoder.unconsumed_tail:
            raise ValueError("a LERC blob is larger than its samples")
    elif compression:
        segment = bytes(imagecodecs.zstd_decode(segment, out=most + _LERC_OVERHEAD_BYTES))
    if not segment.startswith(_LERC_SIGNATURE):
        raise ValueError("a LERC blob has no header")
    (version,) = struct.unpack_from("<i", segment, len(_LERC_SIGNATURE))
    start = len(_LERC_SIGNATURE) + (8 if version >= _CHECKSUM_FROM_VERSION else 4)
    height, width = _LERC_SIZE.unpack_from(segment, start)
    depth = 1
    if version >= _LERC_DEPTHS_FROM_VERSION:
        (depth,) = struct.unpack_from("<I", segment, start + _LERC_SIZE.size)
    (valid,) = struct.unpack_from("<I", segment, start + (12 if version >= _LERC_DEPTHS_FROM_VERSION else 8))
    if depth != (1 if page.planarconfig == SEPARATE_PLANES else page.samplesperpixel):
        raise UnsupportedImageError("unsupported_mode", f"it has {depth} values per pixel in LERC")
    if valid != width * height:
        raise UnsupportedImageError("unsupported_mode", "it has pixels without values, which LERC marks as missing")
    return width, height


STATED_SIZES: dict[int, Callable[[bytes, Any], tuple[int, int]]] = {
    JPEG: _size_by_pillow("JPEG"),
    _JPEG2000: _size_by_pillow("JPEG2000"),
    _WEBP: _size_by_pillow("WEBP"),
    LERC: _lerc_size,
    _JPEG_XL: _jpeg_xl_size,
    _JPEG_XL_OF_DNG: _jpeg_xl_size,
}
"""Codecs, by the number of their compression: what reads (width, height) from the header of a strip or tile."""
