"""JPEG 2000: what Pillow leaves out: bit depth, samples of more than 8 bits, the boxes of JP2 files."""

import math
import struct

import imagecodecs
import numpy as np

from deepot.photo import Pixels
from pipeline.imageio.bit_depth import from_uint16, to_uint16
from pipeline.imageio.formats.isobmff import iter_boxes, pack_box
from pipeline.imageio.metadata.gps import mentions_location
from pipeline.imageio.metadata.metadata import EXIF_HEADER, Metadata, MetadataBlock

_SIZ, _COD = b"\xff\x51", b"\xff\x52"
_CODESTREAM_START = b"\xff\x4f" + _SIZ
_RESOLUTION_BOX = b"res "  # its name has four letters
_METRES_PER_INCH, _MAX_NUMERATOR = 0.0254, 65535  # metres; the largest number of a fraction
_EXIF_UUID, _XMP_UUID = b"JpgTiffExif->JP2", bytes.fromhex("be7acfcb97a942e89c71999491e3afac")


def read_bit_depth(data: bytes) -> int:
    """Bits a sample, the largest of all channels.

    Raises:
        ValueError: there is no codestream, or its channels have signs.
    """
    start = data.find(_CODESTREAM_START)
    if start < 0 or start + 42 > len(data):
        raise ValueError("there is no JPEG 2000 codestream")
    (channels,) = struct.unpack_from(">H", data, start + 40)
    sizes = data[start + 42 : start + 42 + 3 * channels : 3]
    if not sizes or any(size & 0x80 for size in sizes):
        raise ValueError("its channels are missing or have signs")
    return max(sizes) + 1


def is_raw_codestream(data: bytes) -> bool:
    """Whether it is a codestream without the boxes of a JP2 file."""
    return data.startswith(_CODESTREAM_START)


def is_lossless(data: bytes) -> bool:
    """Whether it was written without loss: by the 5-3 wavelet."""
    start = data.find(_COD, max(0, data.find(_CODESTREAM_START)))
    return start >= 0 and start + 13 < len(data) and data[start + 13] == 1


def decode16(data: bytes, bits: int, profile: bytes | None) -> Pixels:
    """The samples of a file of 9 to 16 bits, spread over all of uint16."""
    array = imagecodecs.jpeg2k_decode(
        data[data.find(_CODESTREAM_START) :]
    )  # of a whole file it would convert the colours
    alpha = array.ndim == 3 and array.shape[2] in (2, 4)
    return Pixels.from_array(to_uint16(array, bits), profile, alpha=alpha)


def encode16(pixels: Pixels, bits: int, *, lossless: bool) -> bytes:
    """Samples as JPEG 2000 of so many bits."""
    array = pixels.samples if pixels.alpha is None else np.dstack([pixels.samples, pixels.alpha])
    array = from_uint16(np.ascontiguousarray(array[:, :, 0] if array.shape[2] == 1 else array), bits)
    level = 0 if lossless else 60  # dB
    return bytes(imagecodecs.jpeg2k_encode(array, level, codecformat="jp2", bitspersample=bits, reversible=lossless))


def read_metadata(data: bytes) -> Metadata:
    """What the boxes of a JP2 file carry; nothing for a bare codestream."""
    icc = exif = xmp = None
    found: list[MetadataBlock] = []
    if is_raw_codestream(data):
        return Metadata()
    header = next((content for kind, content in iter_boxes(data) if kind == b"jp2h"), b"")
    for kind, content in [*iter_boxes(header), *iter_boxes(data)]:
        if kind == b"colr" and content[:1] in (b"\2", b"\3"):
            icc = content[3:]
        elif kind == b"uuid" and content[:16] == _EXIF_UUID:
            exif = content[16:].removeprefix(EXIF_HEADER) or None
        elif kind == b"uuid" and content[:16] == _XMP_UUID:
            xmp = content[16:]
        elif kind in (_RESOLUTION_BOX, b"xml ", b"uuid"):
            may_contain_gps = kind == b"uuid" or (
                kind == b"xml " and mentions_location(content)
            )  # GeoJP2 is one of many uuids
            found.append(MetadataBlock(kind, content, kind == _RESOLUTION_BOX, may_contain_gps))
    return Metadata(icc, exif, xmp, blocks=tuple(found))


def with_metadata(data: bytes, metadata: Metadata) -> bytes:
    """A JP2 file with what a photo carries put into boxes."""
    result, trailing_boxes = b"", b""
    for kind, content in iter_boxes(data):
        if kind == b"jp2h":
            parts = [
                _make_profile_box(metadata.icc) if name == b"colr" and metadata.icc else (name, part)
                for name, part in iter_boxes(content)
            ]
            found = [(block.kind, block.data) for block in metadata.blocks if block.kind == _RESOLUTION_BOX]
            parts += found or ([_make_resolution_box(*metadata.dpi)] if metadata.dpi else [])
            content = b"".join(pack_box(name, part) for name, part in parts)
        elif kind == b"jp2c":
            uuids = [(_EXIF_UUID, metadata.exif), (_XMP_UUID, metadata.xmp)]
            trailing_boxes = b"".join(pack_box(b"uuid", name + part) for name, part in uuids if part)
            more = (block for block in metadata.blocks if block.kind != _RESOLUTION_BOX)
            trailing_boxes += b"".join(pack_box(block.kind, block.data) for block in more)
        result += pack_box(kind, content)
    return result + trailing_boxes


def _make_profile_box(icc: bytes | None) -> tuple[bytes, bytes]:
    return b"colr", b"\2\0\0" + (icc or b"")


def _make_resolution_box(across: float, down: float) -> tuple[bytes, bytes]:
    """The box of a resolution in dots an inch: dots a metre, as fractions and powers of ten."""
    metres = [value / _METRES_PER_INCH for value in (down, across)]
    powers = [max(0, math.ceil(math.log10(value / _MAX_NUMERATOR))) for value in metres]
    numbers = [part for value, power in zip(metres, powers, strict=True) for part in (round(value / 10**power), 1)]
    return _RESOLUTION_BOX, pack_box(b"resc", struct.pack(">4H2b", *numbers, *powers))
