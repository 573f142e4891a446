"""JPEG XL of 8 bits per sample, by the plugin pillow_jxl; files of more are read only."""

from collections.abc import Mapping
from typing import Any

import imagecodecs
from PIL import Image

from deepot.photo import Pixels
from pipeline.imageio.formats.c2pa import read_credential_box
from pipeline.imageio.formats.isobmff import iter_boxes, pack_box
from pipeline.imageio.formats.jxl_header import (
    CODESTREAM_BOX,
    CODESTREAM_SIGNATURE,
    has_jpeg_reconstruction,
    read_header,
)
from pipeline.imageio.formats.option_checks import check_quality
from pipeline.imageio.formats.pillow_format import PillowFormat, save_with_pillow
from pipeline.imageio.header_checks import check_pixel_count, check_single_frame
from pipeline.imageio.image_format import Capabilities
from pipeline.imageio.metadata.ifd import with_orientation
from pipeline.imageio.metadata.metadata import EXIF_HEADER, Metadata
from pipeline.imageio.orientation import OrientationStorage
from pipeline.imageio.sample_arrays import check_16_bits, to_uint16

_SIGNATURE_BOX = pack_box(b"JXL ", b"\r\n\x87\n")
_CONTAINER_START = _SIGNATURE_BOX + pack_box(b"ftyp", b"jxl \0\0\0\0jxl ")
_BROTLI_BOX = b"brob"  # contains the name of another box, and its content compressed by Brotli
_MAX_METADATA_BYTES = 64 * 2**20  # of a decompressed box


class JxlFormat(PillowFormat):
    """JPEG XL; its photos come out of the decoder upright, and viewers ignore EXIF."""

    name = "JXL"
    spec_name = "jxl"
    extensions = (".jxl",)
    plugin = "pillow_jxl"
    capabilities = Capabilities(icc=False)
    signatures = (CODESTREAM_SIGNATURE, _SIGNATURE_BOX)
    orientation = OrientationStorage.PIXELS

    def make_options(self, quality: float = 95, lossless: float = 0) -> dict[str, Any]:
        """Return the options of pillow_jxl for a quality from 0 to 100, or for lossless compression."""
        return {"quality": check_quality(quality), "lossless": bool(lossless)}

    def check_header(self, data: bytes, max_pixels: int) -> None:
        """Check size and frames before the plugin opens the file, which decodes it."""
        header = read_header(data)
        check_pixel_count(((header.width, header.height),), max_pixels)
        check_single_frame(is_animated=header.animated)

    def read_bit_depth(self, data: bytes, image: Image.Image) -> int:
        """Return the bits per sample of the header, at least 8."""
        del image
        return max(8, read_header(data).bits)

    def read_pixels(self, data: bytes, image: Image.Image, bits: int, profile: bytes | None) -> Pixels:
        """Decode the samples, upright; those of more than 8 bits are scaled to uint16."""
        if bits <= 8:
            return super().read_pixels(data, image, bits, profile)
        check_16_bits(bits)
        array = imagecodecs.jpegxl_decode(data)
        alpha = array.ndim == 3 and array.shape[2] in (2, 4)
        return Pixels.from_array(to_uint16(array, bits), profile, alpha=alpha)

    def read_metadata(self, data: bytes, image: Image.Image) -> Metadata:
        """Return the metadata in the boxes."""
        return read_metadata(data, image.info.get("icc_profile") or None)

    def read_credentials(self, data: bytes) -> bytes | None:
        """Return the C2PA manifest store in its box, which may be compressed."""
        return None if data.startswith(CODESTREAM_SIGNATURE) else read_credential_box(data, _unpack_box)

    def read_options(self, data: bytes, image: Image.Image, bits: int) -> dict[str, Any]:
        """Return the options of pillow_jxl for lossless files; lossy ones, which do not state their quality, get 95."""
        del image, bits
        return {"lossless": True} if read_header(data).lossless else {"quality": 95}

    def is_lossless(self, options: Mapping[str, Any]) -> bool:
        """Whether the options ask for lossless compression."""
        return bool(options.get("lossless"))

    def encode(self, pixels: Pixels, bits: int, options: Mapping[str, Any], metadata: Metadata) -> bytes:
        """Encode pixels, and put the metadata into boxes; alpha makes the file lossless.

        A lossy encoder gives transparent pixels other colours.
        """
        del bits
        lossless = {"lossless": True} if pixels.alpha is not None else {}
        return with_metadata(save_with_pillow(pixels, self.name, {**options, **lossless}), metadata)


def read_metadata(data: bytes, profile: bytes | None) -> Metadata:
    """Return the metadata in the boxes of a file.

    The decoder turns photos as the codestream states, whatever EXIF states; the EXIF block is therefore set to upright.
    A losslessly recompressed JPEG is decoded as that JPEG, in stored orientation.
    """
    exif = xmp = None
    for kind, content in iter_boxes(data) if not data.startswith(CODESTREAM_SIGNATURE) else ():
        kind, content = _unpack_box(kind, content)
        if kind == b"Exif" and len(content) > 4:
            exif = exif or content[4 + int.from_bytes(content[:4]) :].removeprefix(EXIF_HEADER) or None
        elif kind == b"xml ":
            xmp = xmp or content
    if exif and not has_jpeg_reconstruction(data):
        exif = with_orientation(exif, 1)
    return Metadata(profile, exif, xmp)


def _unpack_box(kind: bytes, content: bytes) -> tuple[bytes, bytes]:
    """Return the name and content of a box, decompressed if it is compressed."""
    if kind != _BROTLI_BOX:
        return kind, content
    return content[:4], bytes(imagecodecs.brotli_decode(content[4:], out=_MAX_METADATA_BYTES))


def with_metadata(data: bytes, metadata: Metadata) -> bytes:
    """Return a file with EXIF and XMP in boxes."""
    if not (metadata.exif or metadata.xmp):
        return data
    if data.startswith(CODESTREAM_SIGNATURE):
        data = _CONTAINER_START + pack_box(CODESTREAM_BOX, data)
    exif = pack_box(b"Exif", bytes(4) + metadata.exif) if metadata.exif else b""
    return data + exif + (pack_box(b"xml ", metadata.xmp) if metadata.xmp else b"")
