"""PPM, PGM and PBM of one photo; colours of more than 8 bits, which Pillow cuts to 8, are decoded here."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from deepot.errors import UnsupportedImageError
from deepot.photo import Pixels
from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.formats.pillow_format import PillowFormat
from pipeline.imageio.image_format import Capabilities
from pipeline.imageio.metadata.metadata import Metadata
from pipeline.imageio.sample_arrays import check_16_bits, from_uint16, to_uint16

_NUMBER = rb"(?:\s|#[^\r\n]*[\r\n])+(\d{1,10})"
_HEADER = re.compile(rb"P([2356])" + 3 * _NUMBER + rb"(?:#[^\r\n]*[\r\n])?\s")
_BILEVEL_HEADER = re.compile(rb"P([14])" + 2 * _NUMBER + rb"(?:#[^\r\n]*[\r\n])?\s")
_COMMENT = re.compile(rb"#[^\r\n]*")
_MAGIC, _NEXT_MAGIC = re.compile(rb"P[1-7]\s"), re.compile(rb"\s*P[1-7]\s")
_LAST_PLAIN_KIND, _BILEVEL_KIND, _COLOUR_KIND = 3, 4, 6
_UNREAD_MAGIC = (b"P7", b"PF")  # PAM and colours in floating point
_MAX_HEADER_BYTES = 2**16  # including comments


class PpmFormat(PillowFormat):
    """PPM, PGM and PBM, written as `same` only."""

    name = "PPM"
    extensions = (".ppm", ".pgm", ".pbm", ".pnm")
    capabilities = Capabilities(max_bits=16, alpha=False, icc=False, metadata=False)

    def matches(self, data: bytes) -> bool:
        """Whether the bytes begin like any Netpbm file, those included that are not read."""
        return (data[:2] in _UNREAD_MAGIC and data[2:3].isspace()) or super().matches(data)

    def check_header(self, data: bytes, max_pixels: int) -> None:
        """Refuse files of several photos, and kinds of Netpbm files that are not read.

        Raises:
            ImageError: `animated`.
            UnsupportedImageError: `unsupported_format`.
        """
        del max_pixels
        if data[:2] in _UNREAD_MAGIC:
            kind = "PAM (P7)" if data[:2] == b"P7" else "PFM (PF)"
            raise UnsupportedImageError(
                "unsupported_format", f"{kind} files are not supported; convert it to PPM or PNG"
            )
        if _has_next_photo(data):
            raise ImageError(
                ErrorCode.ANIMATED, "another photo follows the first one; split it, for instance with pamsplit"
            )

    def read_bit_depth(self, data: bytes, image: Image.Image) -> int:
        """Return the bits per sample that the largest value allowed by the header takes, at least 8.

        Raises:
            UnsupportedImageError: more than 8 in a plain (ASCII) file.
        """
        del image
        found = _HEADER.match(data[:_MAX_HEADER_BYTES])
        bits = int(found[4]).bit_length() if found else 8
        if bits > 8 and found and found[1] in b"23":
            raise UnsupportedImageError(
                "unsupported_bit_depth",
                f"{bits} bits per sample in a plain (ASCII) PNM file (P2, P3); convert it to P5, P6 or PNG",
            )
        return max(8, bits)

    def read_pixels(self, data: bytes, image: Image.Image, bits: int, profile: bytes | None) -> Pixels:
        """Decode the samples; those of more than 8 bits are scaled to uint16."""
        if bits <= 8:
            return super().read_pixels(data, image, bits, profile)
        check_16_bits(bits)
        found = _HEADER.match(data[:_MAX_HEADER_BYTES])
        if found is None:
            raise ValueError("there is no PPM header")
        width, height, maximum = (int(found[group]) for group in (2, 3, 4))
        channels = 3 if found[1] == b"6" else 1
        array = np.frombuffer(data, ">u2", width * height * channels, found.end()).reshape(height, width, channels)
        if maximum == (1 << bits) - 1:
            return Pixels.from_array(to_uint16(array, bits), profile, alpha=False)
        scaled = np.rint(np.minimum(array, maximum) * (65535 / maximum)).astype(np.uint16)
        return Pixels.from_array(scaled, profile, alpha=False)

    def encode(self, pixels: Pixels, bits: int, options: Mapping[str, Any], metadata: Metadata) -> bytes:
        """Encode pixels; those of 16 bits with as many as the photo had."""
        if pixels.bit_depth != 16:
            return super().encode(pixels, bits, options, metadata)
        samples = from_uint16(pixels.samples, bits)
        kind = 6 if samples.shape[2] == 3 else 5
        head = b"P%d\n%d %d\n%d\n" % (kind, pixels.width, pixels.height, (1 << bits) - 1)
        return head + samples.astype(">u2").tobytes()


def _has_next_photo(data: bytes) -> bool:
    """Whether another Netpbm header follows the samples of the first photo."""
    start = data[:_MAX_HEADER_BYTES]
    found = _HEADER.match(start) or _BILEVEL_HEADER.match(start)
    if found is None:
        return False
    kind, width, height = (int(found[group]) for group in (1, 2, 3))
    if kind <= _LAST_PLAIN_KIND:  # in text, no letter can be a sample
        return _MAGIC.search(_COMMENT.sub(b"", data[found.end() :])) is not None
    row_bytes = (width + 7) // 8 if kind == _BILEVEL_KIND else width * (3 if kind == _COLOUR_KIND else 1)
    if kind != _BILEVEL_KIND and int(found[4]) > 255:
        row_bytes *= 2
    return _NEXT_MAGIC.match(data, found.end() + row_bytes * height) is not None
