"""JPEG XL: its header, read before any pixel is decoded; samples of more than 8 bits; EXIF and XMP in boxes."""

from dataclasses import dataclass

import imagecodecs

from deepot.errors import UnsupportedImageError
from deepot.photo import Pixels
from pipeline.imageio.bit_depth import to_uint16
from pipeline.imageio.formats.isobmff import iter_boxes, pack_box
from pipeline.imageio.metadata.ifd import with_orientation
from pipeline.imageio.metadata.metadata import EXIF_HEADER, Metadata

_CODESTREAM_SIGNATURE = b"\xff\x0a"
_CONTAINER_START = pack_box(b"JXL ", b"\r\n\x87\n") + pack_box(b"ftyp", b"jxl \0\0\0\0jxl ")
_CODESTREAM_BOX, _PARTIAL_CODESTREAM_BOX = b"jxlc", b"jxlp"
_BROTLI_BOX = b"brob"  # the name of the box, and its content by Brotli
_MAX_METADATA_BYTES = 64 * 2**20  # bytes a compressed box may become
_MAX_HEADER_BYTES = 4096  # bytes, more than a header without its profile and names can take

# Numbers are coded by two bits that choose one of four pairs: an offset, and how many bits to add to it.
_SIDE = ((1, 9), (1, 13), (1, 18), (1, 30))
_ASPECT_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_PREVIEW_SIDES = {1: ((16, 0), (32, 0), (1, 5), (33, 9)), 0: ((1, 6), (65, 8), (321, 10), (1345, 12))}
_BITS_PER_SAMPLE, _FLOAT_BITS = ((8, 0), (10, 0), (12, 0), (1, 6)), ((32, 0), (16, 0), (24, 0), (1, 6))
_EXTRA_CHANNEL_COUNT, _EXTRA_CHANNEL_TYPE = ((0, 0), (1, 0), (2, 4), (1, 12)), ((0, 0), (1, 0), (2, 4), (18, 6))
_DIM_SHIFT, _NAME_LENGTH = ((0, 0), (3, 0), (4, 0), (1, 3)), ((0, 0), (0, 4), (16, 5), (48, 10))
_ALPHA_CHANNEL = 0


@dataclass(frozen=True)
class Header:
    """What the first bytes of a codestream say.

    Attributes:
        width: as stored; orientations of more than 4 are shown on their side.
        height: as stored.
        animated: whether there are several frames.
        bits: a sample; 8 of an animation.
        lossless: whether the colours are those that went in, and not XYB.
    """

    width: int
    height: int
    animated: bool = False
    bits: int = 8
    lossless: bool = False


class _BitReader:
    """Bits from the lowest of the first byte on."""

    def __init__(self, data: bytes) -> None:
        self._value, self._bits_left = int.from_bytes(data, "little"), 8 * len(data)

    def read_bits(self, count: int) -> int:
        """The next bits as a number."""
        self._bits_left -= count
        if self._bits_left < 0:
            raise ValueError("its header is cut short")
        value = self._value & ((1 << count) - 1)
        self._value >>= count
        return value

    def read_u32(self, pairs: tuple[tuple[int, int], ...]) -> int:
        """A number in one of four ranges."""
        offset, count = pairs[self.read_bits(2)]
        return offset + self.read_bits(count)

    def read_size(self, *, preview: bool = False) -> tuple[int, int]:
        """Width and height."""
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
        """Bits a sample."""
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
    if not codestream.startswith(_CODESTREAM_SIGNATURE):
        raise ValueError("there is no JPEG XL codestream")
    reader = _BitReader(codestream[2:])
    width, height = reader.read_size()
    if reader.read_bits(1):  # everything else as usual
        return Header(width, height)
    if reader.read_bits(1):
        reader.read_bits(3)  # orientation: the decoder turns the photo
        if reader.read_bits(1):
            reader.read_size()  # at which it is to be shown
        if reader.read_bits(1):
            reader.read_size(preview=True)
        if reader.read_bits(1):
            return Header(width, height, animated=True)
    bit_depth = reader.read_bit_depth()
    reader.read_bits(1)  # whether 16-bit buffers do
    for number in range(reader.read_u32(_EXTRA_CHANNEL_COUNT)):
        _skip_extra_channel(reader, number)
    return Header(
        width, height, bits=bit_depth, lossless=not reader.read_bits(1) and not _has_jpeg_reconstruction(data)
    )


def decode16(data: bytes, bits: int, profile: bytes | None) -> Pixels:
    """The samples of a file of 9 to 16 bits, spread over all of uint16, upright."""
    array = imagecodecs.jpegxl_decode(data)
    alpha = array.ndim == 3 and array.shape[2] in (2, 4)
    return Pixels.from_array(to_uint16(array, bits), profile, alpha=alpha)


def read_metadata(data: bytes, profile: bytes | None) -> Metadata:
    """What the boxes of a file carry.

    The decoder turns photos as the codestream says, whatever EXIF says, which then says that they stand upright; what
    was a JPEG comes as that JPEG.
    """
    exif = xmp = None
    for kind, content in iter_boxes(data) if not data.startswith(_CODESTREAM_SIGNATURE) else ():
        if kind == _BROTLI_BOX:
            kind, content = content[:4], bytes(imagecodecs.brotli_decode(content[4:], out=_MAX_METADATA_BYTES))
        if kind == b"Exif" and len(content) > 4:
            exif = exif or content[4 + int.from_bytes(content[:4]) :].removeprefix(EXIF_HEADER) or None
        elif kind == b"xml ":
            xmp = xmp or content
    if exif and not _has_jpeg_reconstruction(data):
        exif = with_orientation(exif, 1)
    return Metadata(profile, exif, xmp)


def with_metadata(data: bytes, metadata: Metadata) -> bytes:
    """A file with what a photo carries put into boxes."""
    if not (metadata.exif or metadata.xmp):
        return data
    if data.startswith(_CODESTREAM_SIGNATURE):
        data = _CONTAINER_START + pack_box(_CODESTREAM_BOX, data)
    exif = pack_box(b"Exif", bytes(4) + metadata.exif) if metadata.exif else b""
    return data + exif + (pack_box(b"xml ", metadata.xmp) if metadata.xmp else b"")


def _read_codestream_start(data: bytes) -> bytes:
    """The first bytes of the codestream."""
    if data.startswith(_CODESTREAM_SIGNATURE):
        return data[:_MAX_HEADER_BYTES]
    found = b""
    for kind, content in iter_boxes(data):
        if kind == _CODESTREAM_BOX:
            return content[:_MAX_HEADER_BYTES]
        if kind == _PARTIAL_CODESTREAM_BOX:
            found += content[4 : 4 + _MAX_HEADER_BYTES]  # behind the number of the part
        if len(found) >= _MAX_HEADER_BYTES:
            break
    return found[:_MAX_HEADER_BYTES]


def _has_jpeg_reconstruction(data: bytes) -> bool:
    """Whether it is a JPEG in other clothes."""
    return not data.startswith(_CODESTREAM_SIGNATURE) and any(kind == b"jbrd" for kind, _ in iter_boxes(data))


def _skip_extra_channel(reader: _BitReader, number: int) -> None:
    """Read over the description of an extra channel, which must be the only alpha."""
    channel_type = _ALPHA_CHANNEL
    if not reader.read_bits(1):
        channel_type = reader.read_u32(_EXTRA_CHANNEL_TYPE)
        reader.read_bit_depth()
        reader.read_u32(_DIM_SHIFT)
        reader.read_bits(8 * reader.read_u32(_NAME_LENGTH))
        if channel_type == _ALPHA_CHANNEL:
            reader.read_bits(1)  # whether colours are multiplied by it: the decoder takes care
    if channel_type != _ALPHA_CHANNEL or number:
        raise UnsupportedImageError("unsupported_mode", "it has channels besides colour and transparency")
