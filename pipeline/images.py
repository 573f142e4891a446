"""Images: the bytes of a photo to its pixels and back, with what the photo carried."""

import io
import warnings
from dataclasses import dataclass, field
from typing import Any

from PIL import Image, JpegImagePlugin, UnidentifiedImageError

from deepot.errors import UnsupportedImageError
from deepot.pixels import Pixels
from pipeline.errors import Code, ImageError

SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "TIFF": ".tif", "WEBP": ".webp"}
_ORIENTATION = 0x0112
_KEPT = ("icc_profile", "exif", "xmp", "dpi")
_HIGH_QUALITY: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
    "TIFF": {"compression": "tiff_lzw"},
}

Image.MAX_IMAGE_PIXELS = None  # limits.max_pixels decides, before any pixel is decoded


@dataclass
class Photo:
    """A decoded photo.

    Attributes:
        pixels: its samples in stored orientation.
        facts: manifest columns: width, height, mode, bit_depth, format, orientation, has_alpha, has_icc, has_exif.
        saving: Pillow's options for writing the same format the same way.
        carried: ICC profile, EXIF, XMP and resolution.
    """

    pixels: Pixels
    facts: dict[str, Any]
    saving: dict[str, Any] = field(default_factory=dict)
    carried: dict[str, Any] = field(default_factory=dict)


def decode(data: bytes, max_pixels: int) -> Photo:
    """Read the bytes of a photo.

    Raises:
        ImageError: empty, no image, damaged, animated, too large or of a mode that is not supported.
    """
    if not data:
        raise ImageError(Code.EMPTY_FILE, "the file is empty")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata; what matters comes as an exception
        try:
            with Image.open(io.BytesIO(data)) as image:
                return _decoded(image, max_pixels)
        except UnidentifiedImageError as error:
            raise ImageError(Code.NOT_AN_IMAGE, "no image format that Pillow knows") from error
        except UnsupportedImageError as error:
            raise ImageError(Code(error.code), str(error)) from error
        except MemoryError as error:
            raise ImageError(Code.OUT_OF_MEMORY, "not enough memory to decode the photo") from error
        except ImageError:
            raise
        except Exception as error:  # decoders raise anything over bytes that are not what they say
            raise ImageError(Code.DAMAGED, f"cannot be decoded: {error}") from error


def encode(photo: Photo, pixels: Pixels, form: str, metadata: str) -> bytes:
    """Write pixels as a photo.

    Args:
        photo: where they come from.
        pixels: the samples to write.
        form: `same`, or a format's name in lower case.
        metadata: `keep` or `strip`.

    Raises:
        ImageError: the format cannot hold such pixels.
    """
    kind = photo.facts["format"] if form == "same" else form.upper()
    options = photo.saving if kind == photo.facts["format"] else _HIGH_QUALITY.get(kind, {})
    carried = photo.carried if metadata == "keep" else {}
    with io.BytesIO() as file:
        try:
            pixels.image().save(file, kind, **options, **carried)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ImageError(Code.UNSUPPORTED_OUTPUT, f"cannot be written as {kind}: {error}") from error
        return file.getvalue()


def output_key(key: str, form: str) -> str:
    """The name of a result: the input's own, with the suffix of another format added, so that no two collide."""
    if form == "same":
        return key
    suffix = SUFFIXES[form.upper()]
    return key if key.lower().endswith(suffix) else key + suffix


def _decoded(image: Image.Image, max_pixels: int) -> Photo:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(Code.TOO_LARGE, f"{width} × {height} pixels are more than limits.max_pixels = {max_pixels}")
    if getattr(image, "n_frames", 1) > 1:
        raise ImageError(Code.ANIMATED, f"{getattr(image, 'n_frames', 0)} frames or pages; deepot takes single photos")
    pixels = Pixels.from_image(image)  # before anything else loads the image: it looks at the stored bit depth
    carried = {key: image.info[key] for key in _KEPT if image.info.get(key)}
    exif = image.getexif()
    if exif and "exif" not in carried and image.format != "TIFF":
        carried["exif"] = exif.tobytes()
    saving = _saving(image)
    facts = {
        "width": width,
        "height": height,
        "mode": image.mode,
        "bit_depth": pixels.bit_depth,
        "format": image.format,
        "orientation": int(exif.get(_ORIENTATION, 1) or 1),
        "has_alpha": pixels.alpha is not None,
        "has_icc": "icc_profile" in carried,
        "has_exif": bool(exif),
    }
    return Photo(pixels, facts, saving, carried)


def _saving(image: Image.Image) -> dict[str, Any]:
    """Options that write this image's format as it was written."""
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        sampling = JpegImagePlugin.get_sampling(image)
        options: dict[str, Any] = {"qtables": image.quantization, "progressive": bool(image.info.get("progressive"))}
        return options | ({"subsampling": sampling} if sampling >= 0 else {})
    if image.format == "TIFF":
        compression = image.info.get("compression", "raw")
        lossless = ("tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits")
        return {"compression": compression if compression in lossless else None}
    if image.format == "WEBP":
        return {"quality": 95}
    return {}
