"""Writing: a picture of one page as a file, with what it carries."""

import io
from dataclasses import replace
from typing import Any

from deepot.photo import Pixels
from pipeline.imageio.formats import heif, jpeg, jpeg2000, jxl, png, ppm
from pipeline.imageio.formats.jpeg_segments import fit_to_segments
from pipeline.imageio.metadata.ifd import read_orientation, with_orientation
from pipeline.imageio.metadata.metadata import EXIF_HEADER, Metadata, reset_xmp_orientation
from pipeline.imageio.output_formats import OutputFormat

_FORMATS_WITHOUT_ORIENTATION = (
    "BMP",
    "JPEG2000",
    "JXL",
)  # they hold no orientation, or viewers pass over the one in their EXIF


def encode_page(
    pixels: Pixels, bits: int, output_format: OutputFormat, metadata: Metadata, *, cross_format: bool
) -> bytes:
    """A file.

    Args:
        pixels: its samples.
        bits: what of them is kept, where they are of 16 bits and the format has fewer.
        output_format: how.
        metadata: what it carries besides.
        cross_format: whether the photo was of another format, whose viewers may have turned it.
    """
    options = dict(output_format.options)
    pixels, metadata = _apply_orientation(pixels, metadata, output_format.name, cross_format=cross_format)
    if output_format.name == "PNG":
        data = png.encode16(pixels) if pixels.bit_depth == 16 else _save_with_pillow(pixels, "PNG", options)
        return png.with_metadata(data, metadata)
    if output_format.name == "JPEG2000":
        if pixels.bit_depth == 16:
            data = jpeg2000.encode16(pixels, max(bits, 9), lossless=not options.get("irreversible", False))
        else:
            data = _save_with_pillow(pixels, "JPEG2000", options)
        return data if options.get("no_jp2") else jpeg2000.with_metadata(data, metadata)
    if output_format.name == "JXL":
        return jxl.with_metadata(_save_with_pillow(pixels, "JXL", options), metadata)
    if output_format.name == "AVIF":
        options |= _avif_options(pixels)
    if output_format.name == "JPEG":
        metadata = fit_to_segments(metadata)
        options |= jpeg.build_extra_option(metadata)
    if output_format.name == "PPM" and pixels.bit_depth == 16:
        return ppm.encode16(pixels, bits)
    metadata_arguments = {
        "icc_profile": metadata.icc,
        "exif": EXIF_HEADER + metadata.exif if metadata.exif else None,
        "xmp": metadata.xmp,
        # a JFIF header, which holds it, says that colours are YCbCr; what is coded as RGB has it in EXIF alone
        "dpi": metadata.dpi if output_format.name in ("JPEG", "BMP") and not options.get("keep_rgb") else None,
    }
    present_arguments: dict[str, Any] = {name: value for name, value in metadata_arguments.items() if value}
    if output_format.name == "HEIF" and pixels.bit_depth == 16:
        return heif.encode16(pixels, bits, options, present_arguments)
    data = _save_with_pillow(pixels, output_format.name, options | present_arguments)
    return jpeg.restore_density_and_trailer(data, metadata) if output_format.name == "JPEG" else data


def _avif_options(pixels: Pixels) -> dict[str, Any]:
    """Pillow's options for grey that stays without colours, and transparency without loss."""
    grey = {"subsampling": "4:0:0"} if pixels.samples.shape[2] == 1 else {}
    return grey | ({"codec": "aom", "advanced": {"a:lossless": "1"}} if pixels.alpha is not None else {})


def _apply_orientation(
    pixels: Pixels, metadata: Metadata, format_name: str, *, cross_format: bool
) -> tuple[Pixels, Metadata]:
    """What is written in a format: the photo itself turned upright where viewers of the format would not do it."""
    upright = replace(metadata, xmp=reset_xmp_orientation(metadata.xmp)) if metadata.xmp else metadata
    if format_name == "HEIF":
        return pixels, upright  # the plugin turns photos, by XMP too
    if metadata.exif and (format_name == "JXL" or (cross_format and format_name in _FORMATS_WITHOUT_ORIENTATION)):
        turned = pixels.apply_orientation(read_orientation(metadata.exif))
        upright = replace(upright, exif=with_orientation(metadata.exif, 1))
        if turned.width != pixels.width:
            upright = replace(upright.with_size(turned.width, turned.height), dpi=metadata.dpi and metadata.dpi[::-1])
        return turned, upright
    return pixels, metadata


def _save_with_pillow(pixels: Pixels, format_name: str, options: dict[str, Any]) -> bytes:
    image = pixels.to_image()
    image.info.pop("icc_profile", None)  # PNG and JPEG 2000 get theirs elsewhere, the others by name
    with io.BytesIO() as file:
        image.save(file, format_name, **options)
        return file.getvalue()
