"""JPEG 2000 of up to 16 bits per sample: JP2 files and bare codestreams."""

import math
import struct
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image

from deepot.errors import UnsupportedImageError
from deepot.photo import Pixels
from pipeline.imageio.formats.c2pa import C2PA_BOX_UUID, read_credential_box
from pipeline.imageio.formats.isobmff import iter_boxes, pack_box
from pipeline.imageio.formats.jpeg2000_codestream import (
    CODESTREAM_START,
    find_codestream,
    lossy_options,
    read_bit_depth,
    read_channel_count,
    read_coding_style,
)
from pipeline.imageio.formats.pillow_format import PillowFormat, read_dpi, save_with_pillow
from pipeline.imageio.image_format import Capabilities
from pipeline.imageio.metadata.location import mentions_location
from pipeline.imageio.metadata.marking import NO_MARKS, MarkCapacity
from pipeline.imageio.metadata.metadata import EXIF_HEADER, METRES_PER_INCH, Metadata, MetadataBlock
from pipeline.imageio.orientation import OrientationStorage
from pipeline.imageio.sample_arrays import check_16_bits, from_uint16, interleave_alpha, to_uint16

_SIGNATURE_BOX = b"\0\0\0\x0cjP  \r\n\x87\n"
_CMYK, _SYCC, _COLOUR_SPACES = 12, 18, (12, 16, 17)  # the others are sRGB and grey
_MAX_CHANNELS = 4
_PREMULTIPLIED = 2  # kind of channel
_RESOLUTION_BOX = b"res "  # with the blank: names have four characters
_MAX_NUMERATOR = 65535  # of a resolution
_EXIF_UUID, _XMP_UUID = b"JpgTiffExif->JP2", bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_LOSSY_PSNR, _LOSSY_PSNR_HIGH_BIT_DEPTH = 50, 60  # dB, for files that do not state theirs


class Jpeg2000Format(PillowFormat):
    """JPEG 2000, lossless unless a PSNR is set."""

    name = "JPEG2000"
    spec_name = "jpeg2000"
    extensions = (".jp2", ".j2k", ".jpx", ".jpf", ".jpc", ".j2c")
    capabilities = Capabilities(max_bits=16)
    signatures = (_SIGNATURE_BOX, CODESTREAM_START)
    orientation = OrientationStorage.PIXELS_IF_CROSS_FORMAT

    def make_options(self, psnr: float = 0) -> dict[str, Any]:
        """Return Pillow's options for a PSNR in dB, 0 for lossless compression."""
        if psnr < 0:
            raise ValueError(f"psnr is {psnr:g}, it must not be negative")
        return {"mct": 1} | (lossy_options(psnr) if psnr else {})

    def read_bit_depth(self, data: bytes, image: Image.Image) -> int:
        """Return the bits per sample of the codestream, at least 8."""
        del image
        return max(8, read_bit_depth(data))

    def check_header(self, data: bytes, max_pixels: int) -> None:
        """Refuse colours and channels that would be misread."""
        del max_pixels
        _check_colours(data, read_bit_depth(data))

    def read_pixels(self, data: bytes, image: Image.Image, bits: int, profile: bytes | None) -> Pixels:
        """Decode the samples; those of more than 8 bits are scaled to uint16."""
        is_cmyk = _is_cmyk(data)
        if bits <= 8 and is_cmyk:  # by its profile alone, Pillow takes the last ink for alpha
            return Pixels.from_array(np.array(image), profile, alpha=False)
        if bits <= 8:
            return super().read_pixels(data, image, bits, profile)
        check_16_bits(bits)
        codestream = data[find_codestream(data) :]  # with the boxes, the decoder would convert the colours
        array = imagecodecs.jpeg2k_decode(codestream)
        alpha = array.ndim == 3 and array.shape[2] in (2, 4) and not is_cmyk
        return Pixels.from_array(to_uint16(array, bits), profile, alpha=alpha)

    def read_metadata(self, data: bytes, image: Image.Image) -> Metadata:
        """Return the metadata in the boxes."""
        return replace(read_metadata(data), dpi=read_dpi(image))

    def read_options(self, data: bytes, image: Image.Image, bits: int) -> dict[str, Any]:
        """Return Pillow's options for the same coding, lossless or not, with boxes or without."""
        coding = read_coding_style(data).pillow_options(_LOSSY_PSNR_HIGH_BIT_DEPTH if bits > 8 else _LOSSY_PSNR)
        raw_codestream = {"no_jp2": True} if _is_raw_codestream(data) else {}
        return {"mct": int(image.mode in ("RGB", "RGBA"))} | coding | raw_codestream

    def read_credentials(self, data: bytes) -> bytes | None:
        """Return the C2PA manifest store in a box."""
        return None if _is_raw_codestream(data) else read_credential_box(data)

    def mark_capacity(self, options: Mapping[str, Any], metadata: Metadata) -> MarkCapacity:
        """Return that a bare codestream holds nothing, and a JP2 file everything."""
        del metadata
        return NO_MARKS if options.get("no_jp2") else MarkCapacity()

    def is_lossless(self, options: Mapping[str, Any]) -> bool:
        """Whether the options ask for lossless compression."""
        return not options.get("irreversible")

    def encode(self, pixels: Pixels, bits: int, options: Mapping[str, Any], metadata: Metadata) -> bytes:
        """Encode pixels, and put the metadata into boxes; a bare codestream has no metadata.

        Of more than 8 bits per sample, Pillow writes grey of 16 bits only.
        """
        if pixels.bit_depth == 16 and not (bits == 16 and pixels.samples.shape[2] == 1 and pixels.alpha is None):
            data = _encode_high_bit_depth(pixels, max(bits, 9), options)
        else:
            data = save_with_pillow(pixels, self.name, options)
        return data if options.get("no_jp2") else with_metadata(data, metadata)


def _encode_high_bit_depth(pixels: Pixels, bits: int, options: Mapping[str, Any]) -> bytes:
    """Encode samples of uint16 with 9 to 16 bits, in one tile and one layer, by the others of Pillow's options."""
    array = interleave_alpha(pixels)
    array = from_uint16(np.ascontiguousarray(array[:, :, 0] if array.shape[2] == 1 else array), bits)
    is_lossless = not options.get("irreversible", False)
    return bytes(
        imagecodecs.jpeg2k_encode(
            array,
            0 if is_lossless else options["quality_layers"][-1],
            codecformat="j2k" if options.get("no_jp2") else "jp2",
            bitspersample=bits,
            resolutions=options.get("num_resolutions"),
            reversible=is_lossless,
        )
    )


def _is_raw_codestream(data: bytes) -> bool:
    """Whether the file is a codestream without the boxes of a JP2 file."""
    return data.startswith(CODESTREAM_START)


def _read_header_boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the boxes in the header of a JP2 file; none for a bare codestream."""
    if _is_raw_codestream(data):
        return []
    return list(iter_boxes(next((content for kind, content in iter_boxes(data) if kind == b"jp2h"), b"")))


def _check_colours(data: bytes, bits: int) -> None:
    """Refuse colour spaces and channels that decoders would take for RGB, grey or alpha.

    Raises:
        UnsupportedImageError: `unsupported_mode`.
    """
    boxes = _read_header_boxes(data)
    spaces = [int.from_bytes(content[3:7]) for kind, content in boxes if kind == b"colr" and content[:1] == b"\1"]
    profiles = any(kind == b"colr" and content[:1] in (b"\2", b"\3") for kind, content in boxes)
    known = (*_COLOUR_SPACES, _SYCC) if bits <= 8 else _COLOUR_SPACES
    if spaces and not profiles and spaces[0] not in known:
        raise UnsupportedImageError(
            "unsupported_mode", f"enumerated colour space {spaces[0]} of JPEG 2000 is not supported; convert it to RGB"
        )
    if (count := read_channel_count(data)) > _MAX_CHANNELS:
        raise UnsupportedImageError(
            "unsupported_mode", f"it has {count} channels; at most {_MAX_CHANNELS} are supported"
        )
    definitions = next((content[2:] for kind, content in boxes if kind == b"cdef"), b"")
    kinds = [int.from_bytes(definitions[start + 2 : start + 4]) for start in range(0, len(definitions) - 5, 6)]
    if _PREMULTIPLIED in kinds:
        raise UnsupportedImageError("unsupported_mode", "its colours are premultiplied by alpha; convert it to PNG")


def _is_cmyk(data: bytes) -> bool:
    """Whether the four channels of a file are inks, by its enumerated colour space or its profile."""
    if read_channel_count(data) != 4:
        return False
    colours = [content for kind, content in _read_header_boxes(data) if kind == b"colr"]
    return any(
        (content[:1] == b"\1" and int.from_bytes(content[3:7]) == _CMYK)
        or (content[:1] in (b"\2", b"\3") and content[3 + 16 : 3 + 20] == b"CMYK")
        for content in colours
    )


def read_metadata(data: bytes) -> Metadata:
    """Return the metadata in the boxes of a JP2 file; nothing for a bare codestream."""
    icc = exif = xmp = None
    found: list[MetadataBlock] = []
    if _is_raw_codestream(data):
        return Metadata()
    for kind, content in [*_read_header_boxes(data), *iter_boxes(data)]:
        if kind == b"colr" and content[:1] in (b"\2", b"\3"):
            icc = content[3:]
        elif kind == b"uuid" and content[:16] == _EXIF_UUID:
            exif = content[16:].removeprefix(EXIF_HEADER) or None
        elif kind == b"uuid" and content[:16] == _XMP_UUID:
            xmp = content[16:]
        elif kind == b"uuid" and content[:16] == C2PA_BOX_UUID:
            continue  # content credentials sign the original pixels
        elif kind in (_RESOLUTION_BOX, b"xml ", b"uuid"):
            # any uuid may be that of GeoJP2 or the like
            may_contain_gps = kind == b"uuid" or (kind == b"xml " and mentions_location(content))
            found.append(MetadataBlock(kind, content, kind == _RESOLUTION_BOX, may_contain_gps))
    return Metadata(icc, exif, xmp, blocks=tuple(found))


def with_metadata(data: bytes, metadata: Metadata) -> bytes:
    """Return a JP2 file with the metadata in boxes."""
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
    """Return the box of a resolution in dots per inch; it has dots per metre, as fractions and powers of ten."""
    per_metre = [value / METRES_PER_INCH for value in (down, across)]
    powers = [max(0, math.ceil(math.log10(value / _MAX_NUMERATOR))) for value in per_metre]
    numbers = [part for value, power in zip(per_metre, powers, strict=True) for part in (round(value / 10**power), 1)]
    return _RESOLUTION_BOX, pack_box(b"resc", struct.pack(">4H2b", *numbers, *powers))
