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
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


def sniff_format(data: bytes) -> str | None:
    """The format whose signature the bytes begin with, of those that have an unmistakable one."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        return "AVIF"
    return next((name for name, signatures in _SIGNATURES.items() if data.startswith(signatures)), None)


def is_heif(data: bytes) -> bool:
    """Whether the bytes begin as a HEIF file does."""
    return data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS


def is_jxl(data: bytes) -> bool:
    """Whether the bytes begin as a JPEG XL file does."""
    return data.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"))


def read_av1_bit_depth(data: bytes) -> int:
    """Bits a sample of an AVIF: 8, 10 or 12, from the configuration of its AV1 streams; the most of them."""
    return max(((12 if flags & 0x20 else 10) if flags & 0x40 else 8 for flags in _iter_av1c_flags(data)), default=8)


def is_monochrome_av1(data: bytes) -> bool:
    """Whether no AV1 stream of an AVIF has colours."""
    return all(flags & 0x10 for flags in _iter_av1c_flags(data))


def _iter_av1c_flags(data: bytes) -> Iterator[int]:
    """Of each AV1 stream, bits: tier, high bit depth, twelve bits, monochrome and more."""
    offset = data.find(b"av1C")
    while 0 <= offset < len(data) - 6:
        yield data[offset + 6]
        offset = data.find(b"av1C", offset + 4)


def is_lossless_webp(data: bytes) -> bool:
    """Whether a WebP file holds a lossless image, by the names of its chunks."""
    offset = 12
    while offset + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, offset)
        if kind in (b"VP8 ", b"VP8L"):
            return bool(kind == b"VP8L")
        offset += 8 + size + size % 2
    return False
