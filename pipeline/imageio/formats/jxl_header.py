"""The header of JPEG XL files, read without decoding pixels."""

from dataclasses import dataclass

from deepot.errors import UnsupportedImageError
from pipeline.imageio.formats.isobmff import iter_boxes

CODESTREAM_SIGNATURE = b"\xff\x0a"
"""What a codestream begins with; so does a file without boxes."""
CODESTREAM_BOX = b"jxlc"
"""The box of the complete codestream."""
_PARTIAL_BOX = b"jxlp"
_RECONSTRUCTION_BOX = b"jbrd"  # what is needed to restore the JPEG that was recompressed
_MAX_HEADER_BYTES = 4096  # more than a header without its profile and names can take

# A number is coded as two bits, which choose one of four pairs (offset, count), and `count` more bits to be added.
_SIDE = ((1, 9), (1, 13), (1, 18), (1, 30))
_ASPECT_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_PREVIEW_SIDES = {1: ((16, 0), (32, 0), (1, 5), (33, 9)), 0: ((1, 6), (65, 8), (321, 10), (1345, 12))}
_BITS_PER_SAMPLE, _FLOAT_BITS = ((8, 0), (10, 0), (12, 0), (1, 6)), ((32, 0), (16, 0), (24, 0), (1, 6))
_EXTRA_CHANNEL_COUNT, _EXTRA_CHANNEL_TYPE = ((0, 0), (1, 0), (2, 4), (1, 12)), ((0, 0), (1, 0), (2, 4), (18, 6))
_DIM_SHIFT, _NAME_LENGTH = ((0, 0), (3, 0), (4, 0), (1, 3)), ((0, 0), (0, 4), (16, 5), (48, 10))
_ALPHA_CHANNEL = 0


@dataclass(frozen=True)
class Header:
    """The header of a codestream.

    Attributes:
        width: in pixels as stored; orientations 5 to 8 swap width and height for display.
        height: in pixels as stored.
        animated: whether there are several frames.
        bits: per sample; 8 for an animation.
        lossless: whether the samples are stored in their own colour space instead of XYB.
    """

    width: int
    height: int
    animated: bool = False
    bits: int = 8
    lossless: bool = False


class _BitReader:
    """Reads bits, from the lowest one of the first byte on."""

    def __init__(self, data: bytes) -> None:
        self._value, self._bits_left = int.from_bytes(data, "little"), 8 * len(data)

    def read_bits(self, count: int) -> int:
        """Return the next `count` bits as a number."""
        self._bits_left -= count
        if self._bits_left < 0:
            raise ValueError("its header is truncated")
        value = self._value & ((1 << count) - 1)
        self._value >>= count
        return value

    def read_u32(self, pairs: tuple[tuple[int, int], ...]) -> int:
        """Return a number that is coded in one of four ranges."""
        offset, count = pairs[self.read_bits(2)]
        return offset + self.read_bits(count)

    def read_size(self, *, preview: bool = False) -> tuple[int, int]:
        """Return width and height."""
        eighths = self.read_bits(1)

        def side() -> int:
            if preview:
                return self.read_u32(_PREVIEW_SIDES[eighths]) * (8 if eighths else 1)
            return (self.read_bits(5) + 1) * 8 if eighths else self.read_u32(_SIDE)

        height = side()
        ratio = self.read_bits(3)
        if ratio == 0:
            return side(), height
        over, under = _ASPECT_RATIOS[ratio - 1]
        return height * over // under, height

    def read_bit_depth(self) -> int:
        """Return the bits per sample."""
        if not self.read_bits(1):
            return self.read_u32(_BITS_PER_SAMPLE)
        self.read_u32(_FLOAT_BITS)
        raise UnsupportedImageError("unsupported_mode", "its samples are floating-point numbers")


def read_header(data: bytes) -> Header:
    """Read the header of a file.

    Raises:
        UnsupportedImageError: floating-point samples, or channels besides colour and one alpha.
        ValueError: there is no codestream, or it ends within its header.
    """
    codestream = _read_codestream_start(data)
    if not codestream.startswith(CODESTREAM_SIGNATURE):
        raise ValueError("there is no JPEG XL codestream")
    reader = _BitReader(codestream[2:])
    width, height = reader.read_size()
    if reader.read_bits(1):  # all other fields have their defaults
        return Header(width, height)
    if reader.read_bits(1):
        reader.read_bits(3)  # orientation: the decoder applies it
        if reader.read_bits(1):
            reader.read_size()  # intrinsic size
        if reader.read_bits(1):
            reader.read_size(preview=True)
        if reader.read_bits(1):
            return Header(width, height, animated=True)
    bit_depth = reader.read_bit_depth()
    reader.read_bits(1)  # whether 16-bit buffers suffice
    for number in range(reader.read_u32(_EXTRA_CHANNEL_COUNT)):
        _skip_extra_channel(reader, number)
    return Header(width, height, bits=bit_depth, lossless=not reader.read_bits(1) and not has_jpeg_reconstruction(data))


def _read_codestream_start(data: bytes) -> bytes:
    """Return the first bytes of the codestream."""
    if data.startswith(CODESTREAM_SIGNATURE):
        return data[:_MAX_HEADER_BYTES]
    found = b""
    for kind, content in iter_boxes(data):
        if kind == CODESTREAM_BOX:
            return content[:_MAX_HEADER_BYTES]
        if kind == _PARTIAL_BOX:
            found += content[4 : 4 + _MAX_HEADER_BYTES]  # after the number of the partial box
        if len(found) >= _MAX_HEADER_BYTES:
            break
    return found[:_MAX_HEADER_BYTES]


def has_jpeg_reconstruction(data: bytes) -> bool:
    """Whether the file is a losslessly recompressed JPEG."""
    if data.startswith(CODESTREAM_SIGNATURE):
        return False
    return any(kind == _RECONSTRUCTION_BOX for kind, _ in iter_boxes(data))


def _skip_extra_channel(reader: _BitReader, number: int) -> None:
    """Skip the description of an extra channel, which must be the only one, and alpha."""
    channel_type = _ALPHA_CHANNEL
    if not reader.read_bits(1):
        channel_type = reader.read_u32(_EXTRA_CHANNEL_TYPE)
        reader.read_bit_depth()
        reader.read_u32(_DIM_SHIFT)
        reader.read_bits(8 * reader.read_u32(_NAME_LENGTH))
        if channel_type == _ALPHA_CHANNEL:
            reader.read_bits(1)  # whether alpha is premultiplied: the decoder takes care of it
    if channel_type != _ALPHA_CHANNEL or number:
        raise UnsupportedImageError("unsupported_mode", "it has channels besides colour and one alpha")
