"""PPM and PGM: samples of more than 8 bits, which Pillow cuts to 8 where they are colours."""

import re

import numpy as np

from deepot.errors import UnsupportedImageError
from deepot.photo import Pixels
from pipeline.imageio.bit_depth import from_uint16, to_uint16

_NUMBER = rb"(?:\s|#[^\r\n]*[\r\n])+(\d{1,10})"
_HEADER = re.compile(rb"P([2356])" + 3 * _NUMBER + rb"(?:#[^\r\n]*[\r\n])?\s")
_MAX_HEADER_BYTES = 2**16  # bytes of a header with its comments


def read_bit_depth(data: bytes) -> int:
    """Bits a sample, from the largest value that the header allows.

    Raises:
        UnsupportedImageError: more than 8 in numbers written out.
    """
    found = _HEADER.match(data[:_MAX_HEADER_BYTES])
    bits = int(found[4]).bit_length() if found else 8
    if bits > 8 and found and found[1] in b"23":
        raise UnsupportedImageError(
            "unsupported_bit_depth", f"{bits} bits a sample as written numbers (P2, P3); convert it to P5, P6 or PNG"
        )
    return bits


def decode16(data: bytes, bits: int, profile: bytes | None) -> Pixels:
    """The samples of a file of 9 to 16 bits, spread over all of uint16."""
    found = _HEADER.match(data[:_MAX_HEADER_BYTES])
    if found is None:
        raise ValueError("there is no PPM header")
    width, height, maximum = (int(found[group]) for group in (2, 3, 4))
    channels = 3 if found[1] == b"6" else 1
    array = np.frombuffer(data, ">u2", width * height * channels, found.end()).reshape(height, width, channels)
    if maximum == (1 << bits) - 1:
        return Pixels.from_array(to_uint16(array, bits), profile, alpha=False)
    return Pixels.from_array(
        np.rint(np.minimum(array, maximum) * (65535 / maximum)).astype(np.uint16), profile, alpha=False
    )


def encode16(pixels: Pixels, bits: int) -> bytes:
    """A file of so many bits a sample."""
    samples = from_uint16(pixels.samples, bits)
    head = b"P%d\n%d %d\n%d\n" % (6 if samples.shape[2] == 3 else 5, pixels.width, pixels.height, (1 << bits) - 1)
    return head + samples.astype(">u2").tobytes()
