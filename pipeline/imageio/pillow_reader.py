"""Reading: what a single picture opened by Pillow is made of: depth, samples, what it carries, how it was written."""

from dataclasses import replace
from typing import Any

from PIL import Image, JpegImagePlugin

from deepot.errors import UnsupportedImageError
from deepot.photo import Pixels
from pipeline.imageio import signatures as headers
from pipeline.imageio.formats import heif, jpeg, jpeg2000, jxl, png, ppm
from pipeline.imageio.metadata import cicp as nclx
from pipeline.imageio.metadata.metadata import EXIF_HEADER, Metadata, MetadataBlock, validate_resolution
from pipeline.imageio.metadata.tiff_tags import read_exif_resolution
from pipeline.imageio.output_formats import OutputFormat

_HIGH_BIT_DEPTH_DECODERS = {
    "JPEG2000": jpeg2000.decode16,
    "JXL": jxl.decode16,
    "HEIF": heif.decode16,
    "PPM": ppm.decode16,
}
_DEFAULT_QUALITY: dict[str, Any] = {"quality": 95}  # where a file does not say how well it was compressed


def read_bit_depth(data: bytes, image: Image.Image) -> int:
    """Bits a sample, as the file's header states them.

    Raises:
        UnsupportedImageError: more than can be read without cutting them.
    """
    if image.format == "PNG":
        return max(8, png.read_bit_depth(data))
    if image.format == "JPEG2000":
        return max(8, jpeg2000.read_bit_depth(data))
    if image.format == "JXL":
        return max(8, jxl.read_header(data).bits)
    if image.format == "PPM":
        return max(8, ppm.read_bit_depth(data))
    if image.format == "HEIF":
        return int(image.info.get("bit_depth", 8))
    bits = headers.read_av1_bit_depth(data) if image.format == "AVIF" else 8
    if bits > 8:
        raise UnsupportedImageError(
            "unsupported_bit_depth", f"{bits} bits a sample in AVIF would be cut to 8; convert it to TIFF or PNG"
        )
    return 16 if image.mode.startswith("I;16") else 8


def read_pixels(data: bytes, image: Image.Image, bits: int, profile: bytes | None) -> Pixels:
    """The pixels; Pillow's where it has a mode for them."""
    if image.format == "PNG" and bits == 16 and image.mode != "I;16":
        return png.decode16(data, profile)
    if image.format == "PNG" and isinstance(key := image.info.get("transparency"), int):
        image.info["transparency"] = png.scale_transparent_grey(data, key)
    if image.format in _HIGH_BIT_DEPTH_DECODERS and bits > 8:
        if bits > 16:
            raise UnsupportedImageError("unsupported_bit_depth", f"{bits} bits a sample; at most 16 are kept")
        return _HIGH_BIT_DEPTH_DECODERS[image.format](data, bits, profile)
    if image.mode == "RGBA" and image.format in ("AVIF", "HEIF"):
        image = _drop_unused_colours(data, image)
    if profile is not None:
        image.info["icc_profile"] = profile
    return Pixels.from_image(image)


def _drop_unused_colours(data: bytes, image: Image.Image) -> Image.Image:
    """Grey with alpha where a file has no colours; the plugins make RGBA of it."""
    if headers.is_monochrome_av1(data) if image.format == "AVIF" else "chroma" not in image.info:
        red, green, blue, alpha = image.split()
        if red.tobytes() == green.tobytes() == blue.tobytes():
            return Image.merge("LA", (red, alpha))
    return image


def read_metadata(data: bytes, image: Image.Image) -> Metadata:
    """What the file carries besides pixels."""
    profile, dpi = image.info.get("icc_profile") or None, image.info.get("dpi")
    dpi = validate_resolution(*dpi[:2]) if dpi else None
    if image.format == "JPEG2000":
        return replace(jpeg2000.read_metadata(data), dpi=dpi)
    if image.format == "JXL":
        return jxl.read_metadata(data, profile)
    if image.format == "PNG":
        cicp_profile = png.read_cicp_profile(data)
        return Metadata(
            profile or cicp_profile,
            png.read_exif(data),
            png.read_xmp(data),
            png.read_iptc(data),
            dpi,
            png.read_blocks(data),
        )
    exif = image.info.get("exif")  # Pillow's getexif would add what XMP says of the orientation
    iptc: bytes | None = None
    blocks: tuple[MetadataBlock, ...] = ()
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        iptc, blocks = jpeg.read_iptc(image), jpeg.read_blocks(image, data)
        if image.info.get("jfif_unit") not in jpeg.JFIF_RESOLUTION_UNITS:  # then Pillow's is that of EXIF, or made up
            dpi = read_exif_resolution(exif.removeprefix(EXIF_HEADER)) if exif else None
    xmp = image.info.get("xmp")
    if profile is None and image.format in ("AVIF", "HEIF"):
        profile = nclx.read_nclx_profile(data)
    return Metadata(
        profile,
        exif.removeprefix(EXIF_HEADER) or None if exif else None,
        (xmp.encode() if isinstance(xmp, str) else xmp) or None,
        iptc,
        dpi,
        blocks,
    )


def matching_format(data: bytes, image: Image.Image, bits: int) -> OutputFormat | None:
    """How this format is written as it was written."""
    kind = str(image.format)
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        return OutputFormat("JPEG", jpeg.read_save_options(image))
    if kind == "WEBP":
        return OutputFormat(
            kind, {"exact": True} | ({"lossless": True} if headers.is_lossless_webp(data) else _DEFAULT_QUALITY)
        )
    if kind == "AVIF":
        return OutputFormat(kind, {"quality": 90, "subsampling": "4:4:4"})
    if kind == "JPEG2000":
        lossy = (
            {} if jpeg2000.is_lossless(data) else {"irreversible": True, "quality_mode": "dB", "quality_layers": [50]}
        )
        raw_codestream = {"no_jp2": True} if jpeg2000.is_raw_codestream(data) else {}
        return OutputFormat(kind, {"mct": int(image.mode in ("RGB", "RGBA"))} | lossy | raw_codestream)
    if kind == "JXL":
        return OutputFormat(kind, {"lossless": True} if jxl.read_header(data).lossless else _DEFAULT_QUALITY)
    if kind == "HEIF":
        return OutputFormat(kind, _DEFAULT_QUALITY | {"chroma": str(image.info.get("chroma") or 444)})
    return OutputFormat(kind) if kind in ("PNG", "BMP", "PPM", "TGA") else None
