"""JPEG XL: its header, read before any pixel is decoded; samples of more than 8 bits; EXIF and XMP in boxes."""

from dataclasses import dataclass

import imagecodecs

from deepot.errors import UnsupportedImageError
from deepot.photo.pixels import Pixels
from pipeline.imageio.bit_depth import spread
from pipeline.imageio.formats.isobmff import box, boxes
from pipeline.imageio.metadata.ifd import with_orientation
from pipeline.imageio.metadata.metadata import EXIF_HEAD, Metadata

_CODESTREAM = b"\xff\x0a"
_SIGNATURE = box(b"JXL ", b"\r\n\x87\n") + box(b"ftyp", b"jxl \0\0\0\0jxl ")
_CODED, _PARTS = b"jxlc", b"jxlp"
_COMPRESSED = b"brob"  # the name of the box, and its content by Brotli
_MOST_METADATA = 64 * 2**20  # bytes a compressed box may become
_HEADER = 4096  # bytes, more than a header without its profile and names can take

# Numbers are coded by two bits that choose one of four pairs: an offset, and how many bits to add to it.
_SIDE = ((1, 9), (1, 13), (1, 18), (1, 30))
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_PREVIEW = {1: ((16, 0), (32, 0), (1, 5), (33, 9)), 0: ((1, 6), (65, 8), (321, 10), (1345, 12))}
_BITS, _FLOAT_BITS = ((8, 0), (10, 0), (12, 0), (1, 6)), ((32, 0), (16, 0), (24, 0), (1, 6))
_EXTRA, _KIND = ((0, 0), (1, 0), (2, 4), (1, 12)), ((0, 0), (1, 0), (2, 4), (18, 6))
_SHIFT, _NAME = ((0, 0), (3, 0), (4, 0), (1, 3)), ((0, 0), (0, 4), (16, 5), (48, 10))
_ALPHA = 0


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


class _Bits:
    """Bits from the lowest of the first byte on."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        """The next bits as a number."""
        self._left -= count
        if self._left < 0:
            raise ValueError("its header is cut short")
        value = self._value & ((1 << count) - 1)
        self._value >>= count
        return value

    def number(self, pairs: tuple[tuple[int, int], ...]) -> int:
        """A number in one of four ranges."""
        offset, count = pairs[self.take(2)]
        return offset + self.take(count)

    def size(self, *, preview: bool = False) -> tuple[int, int]:
        """Width and height."""
        eighths = self.take(1)

        def side() -> int:
            if preview:
                return self.number(_PREVIEW[eighths]) * (8 if eighths else 1)
            return (self.take(5) + 1) * 8 if eighths else self.number(_SIDE)

        height = side()
        ratio = self.take(3)
        if ratio == 0:
            return side(), height
        over, under = _RATIOS[ratio - 1]
        return height * over // under, height

    def depth(self) -> int:
        """Bits a sample."""
        if not self.take(1):
            return self.number(_BITS)
        self.number(_FLOAT_BITS)
        raise UnsupportedImageError("unsupported_mode", "its samples are floating-point numbers")


def header(data: bytes) -> Header:
    """Read the header of a file.

    Raises:
        UnsupportedImageError: floating-point samples, or channels besides colour and one alpha.
        ValueError: there is no codestream, or it ends within its header.
    """
    codestream = _codestream(data)
    if not codestream.startswith(_CODESTREAM):
        raise ValueError("there is no JPEG XL codestream")
    bits = _Bits(codestream[2:])
    width, height = bits.size()
    if bits.take(1):  # everything else as usual
        return Header(width, height)
    if bits.take(1):
        bits.take(3)  # orientation: the decoder turns the photo
        if bits.take(1):
            bits.size()  # at which it is to be shown
        if bits.take(1):
            bits.size(preview=True)
        if bits.take(1):
            return Header(width, height, animated=True)
    depth = bits.depth()
    bits.take(1)  # whether 16-bit buffers do
    for number in range(bits.number(_EXTRA)):
        _alpha(bits, number)
    return Header(width, height, bits=depth, lossless=not bits.take(1) and not _was_jpeg(data))


def decode16(data: bytes, bits: int, profile: bytes | None) -> Pixels:
    """The samples of a file of 9 to 16 bits, spread over all of uint16, upright."""
    array = imagecodecs.jpegxl_decode(data)
    alpha = array.ndim == 3 and array.shape[2] in (2, 4)
    return Pixels.from_array(spread(array, bits), profile, alpha=alpha)


def metadata(data: bytes, profile: bytes | None) -> Metadata:
    """What the boxes of a file carry.

    The decoder turns photos as the codestream says, whatever EXIF says, which then says that they stand upright; what
    was a JPEG comes as that JPEG.
    """
    exif = xmp = None
    for kind, content in boxes(data) if not data.startswith(_CODESTREAM) else ():
        if kind == _COMPRESSED:
            kind, content = content[:4], bytes(imagecodecs.brotli_decode(content[4:], out=_MOST_METADATA))
        if kind == b"Exif" and len(content) > 4:
            exif = exif or content[4 + int.from_bytes(content[:4]) :].removeprefix(EXIF_HEAD) or None
        elif kind == b"xml ":
            xmp = xmp or content
    if exif and not _was_jpeg(data):
        exif = with_orientation(exif, 1)
    return Metadata(profile, exif, xmp)


def with_metadata(data: bytes, carried: Metadata) -> bytes:
    """A file with what a photo carries put into boxes."""
    if not (carried.exif or carried.xmp):
        return data
    if data.startswith(_CODESTREAM):
        data = _SIGNATURE + box(_CODED, data)
    exif = box(b"Exif", bytes(4) + carried.exif) if carried.exif else b""
    return data + exif + (box(b"xml ", carried.xmp) if carried.xmp else b"")


def _codestream(data: bytes) -> bytes:
    """The first bytes of the codestream."""
    if data.startswith(_CODESTREAM):
        return data[:_HEADER]
    found = b""
    for kind, content in boxes(data):
        if kind == _CODED:
            return content[:_HEADER]
        if kind == _PARTS:
            found += content[4 : 4 + _HEADER]  # behind the number of the part
        if len(found) >= _HEADER:
            break
    return found[:_HEADER]


def _was_jpeg(data: bytes) -> bool:
    """Whether it is a JPEG in other clothes."""
    return not data.startswith(_CODESTREAM) and any(kind == b"jbrd" for kind, _ in boxes(data))


def _alpha(bits: _Bits, number: int) -> None:
    """Read over the description of an extra channel, which must be the only alpha."""
    kind = _ALPHA
    if not bits.take(1):
        kind = bits.number(_KIND)
        bits.depth()
        bits.number(_SHIFT)
        bits.take(8 * bits.number(_NAME))
        if kind == _ALPHA:
            bits.take(1)  # whether colours are multiplied by it: the decoder takes care
    if kind != _ALPHA or number:
        raise UnsupportedImageError("unsupported_mode", "it has channels besides colour and transparency")
