"""WebP."""

import struct
from collections.abc import Iterator, Mapping
from typing import Any

from PIL import Image

from pipeline.imageio.formats.option_checks import check_quality
from pipeline.imageio.formats.pillow_format import PillowFormat
from pipeline.imageio.image_format import Capabilities


class WebpFormat(PillowFormat):
    """WebP, lossy or lossless."""

    name = "WEBP"
    spec_name = "webp"
    extensions = (".webp",)
    capabilities = Capabilities(grey=False, max_side=16383)

    def matches(self, data: bytes) -> bool:
        """Whether the bytes begin with the header of a WebP file."""
        return data[:4] == b"RIFF" and data[8:12] == b"WEBP"

    def make_options(self, quality: float = 95, lossless: float = 0) -> dict[str, Any]:
        """Return Pillow's options for a quality from 0 to 100, or for lossless compression."""
        return {"quality": check_quality(quality), "lossless": bool(lossless), "exact": True}

    def read_options(self, data: bytes, image: Image.Image, bits: int) -> dict[str, Any]:
        """Return Pillow's options for lossless files; lossy ones, which do not state their quality, get 95."""
        del image, bits
        return {"exact": True} | ({"lossless": True} if _is_lossless_file(data) else {"quality": 95})

    def read_credentials(self, data: bytes) -> bytes | None:
        """Return the C2PA manifest store in its chunk."""
        return next((data[start:end] for kind, start, end in _iter_chunks(data) if kind == b"C2PA"), None)

    def is_lossless(self, options: Mapping[str, Any]) -> bool:
        """Whether the options ask for lossless compression."""
        return bool(options.get("lossless"))


def _is_lossless_file(data: bytes) -> bool:
    """Whether a WebP file has a lossless image, judged by the name of its first image chunk."""
    return next((kind == b"VP8L" for kind, _, _ in _iter_chunks(data) if kind in (b"VP8 ", b"VP8L")), False)


def _iter_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of the content of each chunk."""
    offset = 12
    while offset + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, offset)
        yield kind, offset + 8, offset + 8 + size
        offset += 8 + size + size % 2
