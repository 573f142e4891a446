"""Images: the bytes of a photo to its pixels and back, with what the photo carried."""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from PIL import Image, UnidentifiedImageError

from deepot.errors import UnsupportedImageError
from deepot.photo.pixels import Pixels
from pipeline.errors import Code, ImageError
from pipeline.imageio import pillow_reader as reading
from pipeline.imageio import signatures as headers
from pipeline.imageio.extensions import SUFFIXES
from pipeline.imageio.formats import jpeg, jxl
from pipeline.imageio.formats import jpeg_mpf as appended
from pipeline.imageio.formats import tiff_reader as tiff
from pipeline.imageio.formats import tiff_writer as tiff_writing
from pipeline.imageio.metadata import tiff_tags as tags
from pipeline.imageio.metadata.ifd import orientation_of
from pipeline.imageio.metadata.metadata import Metadata, Policy
from pipeline.imageio.output_formats import Target, load_target
from pipeline.imageio.pillow_writer import written
from pipeline.imageio.plugins import readable

_TARGET = lru_cache(load_target)

Image.MAX_IMAGE_PIXELS = None  # limits.max_pixels decides, before any pixel is decoded


@dataclass
class Photo:
    """A decoded photo.

    Attributes:
        pages: its samples in stored orientation, page by page; only TIFFs have more than one.
        facts: manifest columns, of the first page: width, height, mode, bit_depth, format, pages, orientation,
            has_alpha, has_icc, has_exif.
        metadata: what it carries.
        same: how the same format is written the same way; None for a format that cannot hold results.
        styles: of the pages of a TIFF.
    """

    pages: list[Pixels]
    facts: dict[str, Any]
    metadata: Metadata
    same: Target | None
    styles: tuple[tags.Style, ...] = ()

    @property
    def pixels(self) -> Pixels:
        """The first page."""
        return self.pages[0]

    @property
    def size(self) -> int:
        """Pixels of all pages."""
        return sum(page.height * page.width for page in self.pages)


def decode(data: bytes, max_pixels: int) -> Photo:
    """Read the bytes of a photo.

    Raises:
        ImageError: empty, no image, damaged, animated, too large, or of a format, mode or depth that is not supported.
    """
    if not data:
        raise ImageError(Code.EMPTY_FILE, "the file is empty")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata; what matters comes as an exception
        try:
            if headers.is_jxl(data):  # its plugin decodes what it opens
                stated = jxl.header(data)
                _check(((stated.width, stated.height),), max_pixels, several=stated.animated)
            if headers.kind(data) == "TIFF":  # tifffile decides what Pillow reads of it
                return _tiff(data, max_pixels)
            with Image.open(io.BytesIO(data), formats=readable()) as image:
                return _decoded(data, image, max_pixels)
        except ImageError:
            raise
        except UnidentifiedImageError as error:
            raise _unidentified(data) from error
        except UnsupportedImageError as error:
            raise ImageError(Code(error.code), str(error)) from error
        except MemoryError as error:
            raise ImageError(Code.OUT_OF_MEMORY, "not enough memory to decode the photo") from error
        except Exception as error:  # decoders raise anything over bytes that are not what they say
            raise ImageError(Code.DAMAGED, f"cannot be decoded: {error}") from error


def encode(photo: Photo, pages: Pixels | Sequence[Pixels], form: str, metadata: str) -> bytes:
    """Write pixels as a photo.

    Args:
        photo: where they come from.
        pages: the samples to write.
        form: `same`, or a format's name in lower case, with its options: see `formats.targets`.
        metadata: `keep`, `strip-gps` or `strip`.

    Raises:
        ImageError: the format cannot hold such pixels.
    """
    given = [pages] if isinstance(pages, Pixels) else list(pages)
    target = _TARGET(form) or photo.same
    if target is None:
        kind = photo.facts["format"]
        raise ImageError(
            Code.UNSUPPORTED_FORMAT, f"{kind} files cannot hold the result; set output.format, to png for instance"
        )
    bits = photo.facts["bit_depth"]
    refusal = next(filter(None, (target.refusal(pixels, bits, len(given)) for pixels in given)), None)
    if refusal:
        raise ImageError(Code.UNSUPPORTED_OUTPUT, f"cannot be written as {target.kind}: {refusal}")
    policy = Policy(metadata)
    try:
        if target.kind == "TIFF":
            return tiff_writing.write_pages(list(zip(given, _styles(photo, given, target, policy), strict=True)))
        carried = photo.metadata.under(policy, photo.facts["orientation"])
        if _resized(photo, given):
            carried = carried.of_size(given[0].width, given[0].height)
        foreign = photo.facts["format"] != target.kind
        return written(given[0], bits, target, carried.abroad() if foreign else carried, foreign=foreign)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ImageError(Code.UNSUPPORTED_OUTPUT, f"cannot be written as {target.kind}: {error}") from error


def output_key(key: str, form: str, photo: Photo | None = None) -> str:
    """A name that says a result's format: the input's own; where that has no suffix of the format, with one behind it.

    Two inputs may get one name: a PNG that was called `scan.jpg` becomes `scan.jpg.png`. See `naming.mirror_key`.

    Args:
        key: the input's name.
        form: as for `encode`.
        photo: the input; without it a name stays as it is where `form` is `same`.
    """
    target = _TARGET(form) or (photo.same if photo is not None else None)
    if target is None or key.lower().endswith(SUFFIXES[target.kind]):
        return key
    return key + SUFFIXES[target.kind][0]


def _unidentified(data: bytes) -> ImageError:
    """What a file is that none of the formats to be read fits."""
    if headers.is_heif(data) or headers.is_jxl(data):
        return ImageError(Code.UNSUPPORTED_FORMAT, "HEIF and JPEG XL need plugins: pip install 'deepot[formats]'")
    kind = headers.kind(data)
    if kind == "JPEG" and 8 < (bits := jpeg.depth(data)) <= 16:
        return ImageError(Code.UNSUPPORTED_BIT_DEPTH, f"{bits} bits a sample in JPEG; convert it to TIFF or PNG")
    if kind:
        return ImageError(Code.DAMAGED, f"it begins as {kind}, and what follows is none")
    try:
        with Image.open(io.BytesIO(data)) as image:
            return ImageError(Code.UNSUPPORTED_FORMAT, f"{image.format} files are not read; convert it to PNG or TIFF")
    except Exception:  # whatever Pillow's other plugins raise: it is none of theirs either
        return ImageError(Code.NOT_AN_IMAGE, "no image format that Pillow knows")


def _tiff(data: bytes, max_pixels: int) -> Photo:
    _check(tiff.page_sizes(data), max_pixels)
    read = list(tiff.read_pages(data))
    if not read:
        raise ValueError("it begins as a TIFF, and has no pages")
    pages, styles = [page.pixels for page in read], tuple(page.style for page in read)
    metadata = tags.metadata_of(styles[0].tags)
    facts = _facts("TIFF", read[0].mode, metadata, pages, pages[0].bit_depth)
    facts["has_exif"] = bool(styles[0].tags.children)
    return Photo(pages, facts, metadata, Target("TIFF"), styles)


def _decoded(data: bytes, image: Image.Image, max_pixels: int) -> Photo:
    _check((image.size,), max_pixels)
    several = bool(getattr(image, "is_animated", False))  # counting the frames of a GIF reads all of it
    _check((), 0, several=several and image.format != "MPO")
    if image.format == "MPO" and appended.holds_photos(data):
        raise ImageError(Code.ANIMATED, "it holds several photos (3D, a panorama, a burst); deepot takes single ones")
    metadata = reading.metadata(data, image)
    bits = reading.depth(data, image)
    found = reading.samples(data, image, bits, metadata.icc)
    kind, mode = ("JPEG" if image.format == "MPO" else str(image.format)), ("I;16" if image.mode == "I" else image.mode)
    facts = _facts(kind, mode, metadata, [found], bits)
    return Photo([found], facts, metadata, reading.same(data, image, bits))


def _check(sizes: Sequence[tuple[int, int]], max_pixels: int, *, several: bool = False) -> None:
    """Refuse what a header says is too large or animated."""
    if sum(width * height for width, height in sizes) > max_pixels:
        told = " + ".join(f"{width} × {height}" for width, height in sizes[:3]) + (" + …" if len(sizes) > 3 else "")
        raise ImageError(Code.TOO_LARGE, f"{told} pixels are more than limits.max_pixels = {max_pixels}")
    if several:
        raise ImageError(Code.ANIMATED, "it has several frames; deepot takes single photos, and TIFFs of several pages")


def _facts(kind: str, mode: str, metadata: Metadata, pages: list[Pixels], bits: int) -> dict[str, Any]:
    grey = pages[0].samples.shape[2] == 1 and pages[0].alpha is not None
    return {
        "width": pages[0].width,
        "height": pages[0].height,
        "mode": "LA" if grey and mode == "RGBA" else mode,  # Pillow reads 16-bit grey and alpha so
        "bit_depth": bits,
        "format": kind,
        "pages": len(pages),
        "orientation": orientation_of(metadata.exif),
        "has_alpha": pages[0].alpha is not None,
        "has_icc": metadata.icc is not None,
        "has_exif": metadata.exif is not None,
    }


def _resized(photo: Photo, pages: Sequence[Pixels]) -> bool:
    """Whether the pages have another size than the photo had."""
    return (pages[0].width, pages[0].height) != (photo.facts["width"], photo.facts["height"])


def _styles(photo: Photo, pages: Sequence[Pixels], target: Target, policy: Policy) -> list[tags.Style]:
    """The tags and options of each page of a TIFF to be written."""
    if photo.styles:
        kept = [style.under(policy) for style in photo.styles]
    else:
        carried = photo.metadata.under(policy, photo.facts["orientation"]).abroad()
        kept = [tags.style_of(carried, target.options)]
    if _resized(photo, pages):
        kept = [style.of_size(page.width, page.height) for style, page in zip(kept, pages, strict=True)]
    return kept if target is photo.same else [tags.Style(style.tags, target.options) for style in kept]
