"""Reading: what a single picture opened by Pillow is made of: depth, samples, what it carries, how it was written."""

from dataclasses import replace
from typing import Any

from PIL import Image, JpegImagePlugin

from deepot.errors import UnsupportedImageError
from deepot.photo.pixels import Pixels
from pipeline.imageio import signatures as headers
from pipeline.imageio.formats import heif, jpeg, jpeg2000, jxl, png, ppm
from pipeline.imageio.metadata import cicp as nclx
from pipeline.imageio.metadata.metadata import EXIF_HEAD, Block, Metadata, resolution
from pipeline.imageio.metadata.tiff_tags import resolution_of
from pipeline.imageio.output_formats import Target

_DEEP = {"JPEG2000": jpeg2000.decode16, "JXL": jxl.decode16, "HEIF": heif.decode16, "PPM": ppm.decode16}
_HIGH: dict[str, Any] = {"quality": 95}  # where a file does not say how well it was compressed


def depth(data: bytes, image: Image.Image) -> int:
    """Bits a sample, as the file's header states them.

    Raises:
        UnsupportedImageError: more than can be read without cutting them.
    """
    if image.format == "PNG":
        return max(8, png.depth(data))
    if image.format == "JPEG2000":
        return max(8, jpeg2000.depth(data))
    if image.format == "JXL":
        return max(8, jxl.header(data).bits)
    if image.format == "PPM":
        return max(8, ppm.depth(data))
    if image.format == "HEIF":
        return int(image.info.get("bit_depth", 8))
    bits = headers.av1_depth(data) if image.format == "AVIF" else 8
    if bits > 8:
        raise UnsupportedImageError(
            "unsupported_bit_depth", f"{bits} bits a sample in AVIF would be cut to 8; convert it to TIFF or PNG"
        )
    return 16 if image.mode.startswith("I;16") else 8


def samples(data: bytes, image: Image.Image, bits: int, profile: bytes | None) -> Pixels:
    """The pixels; Pillow's where it has a mode for them."""
    if image.format == "PNG" and bits == 16 and image.mode != "I;16":
        return png.decode16(data, profile)
    if image.format == "PNG" and isinstance(key := image.info.get("transparency"), int):
        image.info["transparency"] = png.scaled_key(data, key)
    if image.format in _DEEP and bits > 8:
        if bits > 16:
            raise UnsupportedImageError("unsupported_bit_depth", f"{bits} bits a sample; at most 16 are kept")
        return _DEEP[image.format](data, bits, profile)
    if image.mode == "RGBA" and image.format in ("AVIF", "HEIF"):
        image = _as_stored(data, image)
    if profile is not None:
        image.info["icc_profile"] = profile
    return Pixels.from_image(image)


def _as_stored(data: bytes, image: Image.Image) -> Image.Image:
    """Grey with alpha where a file has no colours; the plugins make RGBA of it."""
    if headers.av1_is_grey(data) if image.format == "AVIF" else "chroma" not in image.info:
        red, green, blue, alpha = image.split()
        if red.tobytes() == green.tobytes() == blue.tobytes():
            return Image.merge("LA", (red, alpha))
    return image


def metadata(data: bytes, image: Image.Image) -> Metadata:
    """What the file carries besides pixels."""
    profile, dpi = image.info.get("icc_profile") or None, image.info.get("dpi")
    dpi = resolution(*dpi[:2]) if dpi else None
    if image.format == "JPEG2000":
        return replace(jpeg2000.metadata(data), dpi=dpi)
    if image.format == "JXL":
        return jxl.metadata(data, profile)
    if image.format == "PNG":
        named = png.profile(data)
        return Metadata(profile or named, png.exif(data), png.xmp(data), png.iptc(data), dpi, png.blocks(data))
    exif = image.info.get("exif")  # Pillow's getexif would add what XMP says of the orientation
    iptc: bytes | None = None
    blocks: tuple[Block, ...] = ()
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        iptc, blocks = jpeg.iptc(image), jpeg.blocks(image, data)
        if image.info.get("jfif_unit") not in jpeg.UNITS:  # then Pillow's is that of EXIF, or made up
            dpi = resolution_of(exif.removeprefix(EXIF_HEAD)) if exif else None
    xmp = image.info.get("xmp")
    if profile is None and image.format in ("AVIF", "HEIF"):
        profile = nclx.profile(data)
    return Metadata(
        profile,
        exif.removeprefix(EXIF_HEAD) or None if exif else None,
        (xmp.encode() if isinstance(xmp, str) else xmp) or None,
        iptc,
        dpi,
        blocks,
    )


def same(data: bytes, image: Image.Image, bits: int) -> Target | None:
    """How this format is written as it was written."""
    kind = str(image.format)
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        return Target("JPEG", jpeg.saving(image))
    if kind == "WEBP":
        return Target(kind, {"exact": True} | ({"lossless": True} if headers.is_lossless_webp(data) else _HIGH))
    if kind == "AVIF":
        return Target(kind, {"quality": 90, "subsampling": "4:4:4"})
    if kind == "JPEG2000":
        lossy = (
            {} if jpeg2000.reversible(data) else {"irreversible": True, "quality_mode": "dB", "quality_layers": [50]}
        )
        bare = {"no_jp2": True} if jpeg2000.is_bare(data) else {}
        return Target(kind, {"mct": int(image.mode in ("RGB", "RGBA"))} | lossy | bare)
    if kind == "JXL":
        return Target(kind, {"lossless": True} if jxl.header(data).lossless else _HIGH)
    if kind == "HEIF":
        return Target(kind, _HIGH | {"chroma": str(image.info.get("chroma") or 444)})
    return Target(kind) if kind in ("PNG", "BMP", "PPM", "TGA") else None
