"""Writing: a picture of one page as a file, with what it carries."""

import io
from dataclasses import replace
from typing import Any

from deepot.photo.pixels import Pixels
from pipeline.imageio.formats import heif, jpeg, jpeg2000, jxl, png, ppm
from pipeline.imageio.formats.jpeg_segments import fitted
from pipeline.imageio.metadata.ifd import orientation_of, with_orientation
from pipeline.imageio.metadata.metadata import EXIF_HEAD, Metadata, xmp_upright
from pipeline.imageio.output_formats import Target

_UPRIGHT = ("BMP", "JPEG2000", "JXL")  # they hold no orientation, or viewers pass over the one in their EXIF


def written(pixels: Pixels, bits: int, target: Target, carried: Metadata, *, foreign: bool) -> bytes:
    """A file.

    Args:
        pixels: its samples.
        bits: what of them is kept, where they are of 16 bits and the format has fewer.
        target: how.
        carried: what it carries besides.
        foreign: whether the photo was of another format, whose viewers may have turned it.
    """
    options = dict(target.options)
    pixels, carried = _turned(pixels, carried, target.kind, foreign=foreign)
    if target.kind == "PNG":
        data = png.encode16(pixels) if pixels.bit_depth == 16 else _saved(pixels, "PNG", options)
        return png.with_metadata(data, carried)
    if target.kind == "JPEG2000":
        if pixels.bit_depth == 16:
            data = jpeg2000.encode16(pixels, max(bits, 9), lossless=not options.get("irreversible", False))
        else:
            data = _saved(pixels, "JPEG2000", options)
        return data if options.get("no_jp2") else jpeg2000.with_metadata(data, carried)
    if target.kind == "JXL":
        return jxl.with_metadata(_saved(pixels, "JXL", options), carried)
    if target.kind == "AVIF":
        options |= _of_avif(pixels)
    if target.kind == "JPEG":
        carried = fitted(carried)
        options |= jpeg.extra(carried)
    if target.kind == "PPM" and pixels.bit_depth == 16:
        return ppm.encode16(pixels, bits)
    named = {
        "icc_profile": carried.icc,
        "exif": EXIF_HEAD + carried.exif if carried.exif else None,
        "xmp": carried.xmp,
        # a JFIF header, which holds it, says that colours are YCbCr; what is coded as RGB has it in EXIF alone
        "dpi": carried.dpi if target.kind in ("JPEG", "BMP") and not options.get("keep_rgb") else None,
    }
    given: dict[str, Any] = {name: value for name, value in named.items() if value}
    if target.kind == "HEIF" and pixels.bit_depth == 16:
        return heif.encode16(pixels, bits, options, given)
    data = _saved(pixels, target.kind, options | given)
    return jpeg.finished(data, carried) if target.kind == "JPEG" else data


def _of_avif(pixels: Pixels) -> dict[str, Any]:
    """Pillow's options for grey that stays without colours, and transparency without loss."""
    grey = {"subsampling": "4:0:0"} if pixels.samples.shape[2] == 1 else {}
    return grey | ({"codec": "aom", "advanced": {"a:lossless": "1"}} if pixels.alpha is not None else {})


def _turned(pixels: Pixels, carried: Metadata, kind: str, *, foreign: bool) -> tuple[Pixels, Metadata]:
    """What is written in a format: the photo itself turned upright where viewers of the format would not do it."""
    upright = replace(carried, xmp=xmp_upright(carried.xmp)) if carried.xmp else carried
    if kind == "HEIF":
        return pixels, upright  # the plugin turns photos, by XMP too
    if carried.exif and (kind == "JXL" or (foreign and kind in _UPRIGHT)):
        turned = pixels.upright(orientation_of(carried.exif))
        upright = replace(upright, exif=with_orientation(carried.exif, 1))
        if turned.width != pixels.width:
            upright = replace(upright.of_size(turned.width, turned.height), dpi=carried.dpi and carried.dpi[::-1])
        return turned, upright
    return pixels, carried


def _saved(pixels: Pixels, kind: str, options: dict[str, Any]) -> bytes:
    image = pixels.image()
    image.info.pop("icc_profile", None)  # PNG and JPEG 2000 get theirs elsewhere, the others by name
    with io.BytesIO() as file:
        image.save(file, kind, **options)
        return file.getvalue()
