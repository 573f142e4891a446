"""Images: the bytes of a photo to its pixels and back, with what the photo carried."""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from PIL import Image, UnidentifiedImageError

from deepot.errors import UnsupportedImageError
from deepot.photo import Pixels
from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio import pillow_reader as reading
from pipeline.imageio import signatures as headers
from pipeline.imageio.extensions import EXTENSIONS
from pipeline.imageio.formats import jpeg, jxl
from pipeline.imageio.formats import jpeg_mpf as appended
from pipeline.imageio.formats import tiff_reader as tiff
from pipeline.imageio.formats import tiff_writer as tiff_writing
from pipeline.imageio.metadata import tiff_tags as tags
from pipeline.imageio.metadata.ifd import read_orientation
from pipeline.imageio.metadata.metadata import Metadata, MetadataPolicy
from pipeline.imageio.output_formats import OutputFormat, parse_output_format
from pipeline.imageio.pillow_writer import encode_page
from pipeline.imageio.plugins import list_readable_formats

_cached_output_format = lru_cache(parse_output_format)

Image.MAX_IMAGE_PIXELS = None  # limits.max_pixels decides, before any pixel is decoded


@dataclass
class DecodedImage:
    """A decoded photo.

    Attributes:
        pages: its samples in stored orientation, page by page; only TIFFs have more than one.
        properties: manifest columns, of the first page: width, height, mode, bit_depth, format, pages, orientation,
            has_alpha, has_icc, has_exif.
        metadata: what it carries.
        matching_format: how the same format is written the same way; None for a format that cannot hold results.
        page_styles: of the pages of a TIFF.
    """

    pages: list[Pixels]
    properties: dict[str, Any]
    metadata: Metadata
    matching_format: OutputFormat | None
    page_styles: tuple[tags.PageStyle, ...] = ()

    @property
    def pixels(self) -> Pixels:
        """The first page."""
        return self.pages[0]

    @property
    def pixel_count(self) -> int:
        """Pixels of all pages."""
        return sum(page.height * page.width for page in self.pages)


def decode(data: bytes, max_pixels: int) -> DecodedImage:
    """Read the bytes of a photo.

    Raises:
        ImageError: empty, no image, damaged, animated, too large, or of a format, mode or depth that is not supported.
    """
    if not data:
        raise ImageError(ErrorCode.EMPTY_FILE, "the file is empty")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata; what matters comes as an exception
        try:
            if headers.is_jxl(data):  # its plugin decodes what it opens
                stated = jxl.read_header(data)
                _check_size_and_frames(((stated.width, stated.height),), max_pixels, has_several_frames=stated.animated)
            if headers.sniff_format(data) == "TIFF":  # tifffile decides what Pillow reads of it
                return _decode_tiff(data, max_pixels)
            with Image.open(io.BytesIO(data), formats=list_readable_formats()) as image:
                return _decode_with_pillow(data, image, max_pixels)
        except ImageError:
            raise
        except UnidentifiedImageError as error:
            raise _explain_unidentified(data) from error
        except UnsupportedImageError as error:
            raise ImageError(ErrorCode(error.code), str(error)) from error
        except MemoryError as error:
            raise ImageError(ErrorCode.OUT_OF_MEMORY, "not enough memory to decode the photo") from error
        except Exception as error:  # decoders raise anything over bytes that are not what they say
            raise ImageError(ErrorCode.DAMAGED, f"cannot be decoded: {error}") from error


def encode(photo: DecodedImage, pages: Pixels | Sequence[Pixels], format_spec: str, metadata_policy: str) -> bytes:
    """Write pixels as a photo.

    Args:
        photo: where they come from.
        pages: the samples to write.
        format_spec: `same`, or a format's name in lower case, with its options: see `formats.targets`.
        metadata_policy: `keep`, `strip-gps` or `strip`.

    Raises:
        ImageError: the format cannot hold such pixels.
    """
    page_list = [pages] if isinstance(pages, Pixels) else list(pages)
    output_format = _cached_output_format(format_spec) or photo.matching_format
    if output_format is None:
        kind = photo.properties["format"]
        raise ImageError(
            ErrorCode.UNSUPPORTED_FORMAT, f"{kind} files cannot hold the result; set output.format, to png for instance"
        )
    bits = photo.properties["bit_depth"]
    reason = next(
        filter(None, (output_format.unsupported_reason(pixels, bits, len(page_list)) for pixels in page_list)), None
    )
    if reason:
        raise ImageError(ErrorCode.UNSUPPORTED_OUTPUT, f"cannot be written as {output_format.name}: {reason}")
    policy = MetadataPolicy(metadata_policy)
    try:
        if output_format.name == "TIFF":
            return tiff_writing.write_pages(
                list(zip(page_list, _make_page_styles(photo, page_list, output_format, policy), strict=True))
            )
        kept_metadata = photo.metadata.apply_policy(policy, photo.properties["orientation"])
        if _is_resized(photo, page_list):
            kept_metadata = kept_metadata.with_size(page_list[0].width, page_list[0].height)
        cross_format = photo.properties["format"] != output_format.name
        return encode_page(
            page_list[0],
            bits,
            output_format,
            kept_metadata.for_other_format() if cross_format else kept_metadata,
            cross_format=cross_format,
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ImageError(ErrorCode.UNSUPPORTED_OUTPUT, f"cannot be written as {output_format.name}: {error}") from error


def add_format_extension(key: str, format_spec: str, photo: DecodedImage | None = None) -> str:
    """A name that says a result's format: the input's own; where that has no suffix of the format, with one behind it.

    Two inputs may get one name: a PNG that was called `scan.jpg` becomes `scan.jpg.png`. See `naming.output_key_for`.

    Args:
        key: the input's name.
        format_spec: as for `encode`.
        photo: the input; without it a name stays as it is where `format_spec` is `same`.
    """
    output_format = _cached_output_format(format_spec) or (photo.matching_format if photo is not None else None)
    if output_format is None or key.lower().endswith(EXTENSIONS[output_format.name]):
        return key
    return key + EXTENSIONS[output_format.name][0]


def _explain_unidentified(data: bytes) -> ImageError:
    """What a file is that none of the formats to be read fits."""
    if headers.is_heif(data) or headers.is_jxl(data):
        return ImageError(ErrorCode.UNSUPPORTED_FORMAT, "HEIF and JPEG XL need plugins: pip install 'deepot[formats]'")
    kind = headers.sniff_format(data)
    if kind == "JPEG" and 8 < (bits := jpeg.read_bit_depth(data)) <= 16:
        return ImageError(ErrorCode.UNSUPPORTED_BIT_DEPTH, f"{bits} bits a sample in JPEG; convert it to TIFF or PNG")
    if kind:
        return ImageError(ErrorCode.DAMAGED, f"it begins as {kind}, and what follows is none")
    try:
        with Image.open(io.BytesIO(data)) as image:
            return ImageError(
                ErrorCode.UNSUPPORTED_FORMAT, f"{image.format} files are not read; convert it to PNG or TIFF"
            )
    except Exception:  # whatever Pillow's other plugins raise: it is none of theirs either
        return ImageError(ErrorCode.NOT_AN_IMAGE, "no image format that Pillow knows")


def _decode_tiff(data: bytes, max_pixels: int) -> DecodedImage:
    _check_size_and_frames(tiff.read_page_sizes(data), max_pixels)
    decoded_pages = list(tiff.read_pages(data))
    if not decoded_pages:
        raise ValueError("it begins as a TIFF, and has no pages")
    pages, page_styles = [page.pixels for page in decoded_pages], tuple(page.style for page in decoded_pages)
    metadata = tags.metadata_from_tags(page_styles[0].tags)
    properties = _make_properties("TIFF", decoded_pages[0].mode, metadata, pages, pages[0].bit_depth)
    properties["has_exif"] = bool(page_styles[0].tags.children)
    return DecodedImage(pages, properties, metadata, OutputFormat("TIFF"), page_styles)


def _decode_with_pillow(data: bytes, image: Image.Image, max_pixels: int) -> DecodedImage:
    _check_size_and_frames((image.size,), max_pixels)
    has_several_frames = bool(getattr(image, "is_animated", False))  # counting the frames of a GIF reads all of it
    _check_size_and_frames((), 0, has_several_frames=has_several_frames and image.format != "MPO")
    if image.format == "MPO" and appended.has_multiple_photos(data):
        raise ImageError(
            ErrorCode.ANIMATED, "it holds several photos (3D, a panorama, a burst); deepot takes single ones"
        )
    metadata = reading.read_metadata(data, image)
    bits = reading.read_bit_depth(data, image)
    pixels = reading.read_pixels(data, image, bits, metadata.icc)
    kind, mode = ("JPEG" if image.format == "MPO" else str(image.format)), ("I;16" if image.mode == "I" else image.mode)
    properties = _make_properties(kind, mode, metadata, [pixels], bits)
    return DecodedImage([pixels], properties, metadata, reading.matching_format(data, image, bits))


def _check_size_and_frames(
    sizes: Sequence[tuple[int, int]], max_pixels: int, *, has_several_frames: bool = False
) -> None:
    """Refuse what a header says is too large or animated."""
    if sum(width * height for width, height in sizes) > max_pixels:
        size_text = " + ".join(f"{width} × {height}" for width, height in sizes[:3]) + (
            " + …" if len(sizes) > 3 else ""
        )
        raise ImageError(ErrorCode.TOO_LARGE, f"{size_text} pixels are more than limits.max_pixels = {max_pixels}")
    if has_several_frames:
        raise ImageError(
            ErrorCode.ANIMATED, "it has several frames; deepot takes single photos, and TIFFs of several pages"
        )


def _make_properties(format_name: str, mode: str, metadata: Metadata, pages: list[Pixels], bits: int) -> dict[str, Any]:
    grey = pages[0].samples.shape[2] == 1 and pages[0].alpha is not None
    return {
        "width": pages[0].width,
        "height": pages[0].height,
        "mode": "LA" if grey and mode == "RGBA" else mode,  # Pillow reads 16-bit grey and alpha so
        "bit_depth": bits,
        "format": format_name,
        "pages": len(pages),
        "orientation": read_orientation(metadata.exif),
        "has_alpha": pages[0].alpha is not None,
        "has_icc": metadata.icc is not None,
        "has_exif": metadata.exif is not None,
    }


def _is_resized(photo: DecodedImage, pages: Sequence[Pixels]) -> bool:
    """Whether the pages have another size than the photo had."""
    return (pages[0].width, pages[0].height) != (photo.properties["width"], photo.properties["height"])


def _make_page_styles(
    photo: DecodedImage, pages: Sequence[Pixels], output_format: OutputFormat, policy: MetadataPolicy
) -> list[tags.PageStyle]:
    """The tags and options of each page of a TIFF to be written."""
    if photo.page_styles:
        page_styles = [style.apply_policy(policy) for style in photo.page_styles]
    else:
        metadata = photo.metadata.apply_policy(policy, photo.properties["orientation"]).for_other_format()
        page_styles = [tags.page_style_from_metadata(metadata, output_format.options)]
    if _is_resized(photo, pages):
        page_styles = [style.with_size(page.width, page.height) for style, page in zip(page_styles, pages, strict=True)]
    return (
        page_styles
        if output_format is photo.matching_format
        else [tags.PageStyle(style.tags, output_format.options) for style in page_styles]
    )
