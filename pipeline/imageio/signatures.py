"""Headers: what AVIF, HEIF, JPEG XL and WebP files say of themselves that Pillow does not."""

import struct
from collections.abc import Iterator

_SIGNATURES = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"II\0*", b"MM*\0"),
    "JPEG 2000": (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
}
_HEIF = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


def kind(data: bytes) -> str | None:
    """The format whose signature the bytes begin with, of those that have an unmistakable one."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        return "AVIF"
    return next((name for name, several in _SIGNATURES.items() if data.startswith(several)), None)


def is_heif(data: bytes) -> bool:
    """Whether the bytes begin as a HEIF file does."""
    return data[4:8] == b"ftyp" and data[8:12] in _HEIF


def is_jxl(data: bytes) -> bool:
    """Whether the bytes begin as a JPEG XL file does."""
    return data.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"))


def av1_depth(data: bytes) -> int:
    """Bits a sample of an AVIF: 8, 10 or 12, from the configuration of its AV1 streams; the most of them."""
    return max(((12 if flags & 0x20 else 10) if flags & 0x40 else 8 for flags in _av1_flags(data)), default=8)


def av1_is_grey(data: bytes) -> bool:
    """Whether no AV1 stream of an AVIF has colours."""
    return all(flags & 0x10 for flags in _av1_flags(data))


def _av1_flags(data: bytes) -> Iterator[int]:
    """Of each AV1 stream, bits: tier, high bit depth, twelve bits, monochrome and more."""
    place = data.find(b"av1C")
    while 0 <= place < len(data) - 6:
        yield data[place + 6]
        place = data.find(b"av1C", place + 4)


def is_lossless_webp(data: bytes) -> bool:
    """Whether a WebP file holds a lossless image, by the names of its chunks."""
    place = 12
    while place + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, place)
        if kind in (b"VP8 ", b"VP8L"):
            return bool(kind == b"VP8L")
        place += 8 + size + size % 2
    return False
