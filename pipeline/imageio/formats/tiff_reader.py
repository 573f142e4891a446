"""Reading the pages of a TIFF with their tags."""

import io
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import tifffile
from PIL import Image, UnidentifiedImageError

from deepot.errors import UnsupportedImageError
from deepot.photo import Pixels
from pipeline.imageio.formats.tiff_raw import describe_raw
from pipeline.imageio.metadata.ifd import ORIENTATION, read_ifd
from pipeline.imageio.metadata.tiff_tags import ICC_TAG, PIXEL_LAYOUT_TAGS, PageStyle

_COMPRESSIONS = {5: "lzw", 8: "zlib", 32946: "zlib", 32773: "packbits", 50000: "zstd", 34925: "lzma"}
_ASSOCIATED_ALPHA = 1
_ALPHA_EXTRA_SAMPLES = ([_ASSOCIATED_ALPHA], [2], [999])  # values of ExtraSamples; the last is from an old CorelDRAW
_CHANNELS_BY_PHOTOMETRIC = {0: 1, 1: 1, 2: 3, 5: 4}  # grey from white and from black, RGB, CMYK
_SEPARATED_PHOTOMETRIC = 5
_JPEG, _WEBP, _SEPARATE_PLANES = 7, 50001, 2
_COLOUR_MODES = {(1, True): "LA", (3, False): "RGB", (3, True): "RGBA", (4, False): "CMYK"}
_PILLOW_MODES = {8: _COLOUR_MODES | {(1, False): "L"}, 16: _COLOUR_MODES | {(1, False): "I;16"}}
_UNDO_PILLOW_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""Pillow applies the orientation of TIFFs, and of no other format: by orientation, what undoes it."""


@dataclass(frozen=True)
class Page:
    """A page of a file.

    Attributes:
        pixels: its samples in stored orientation.
        mode: Pillow's name for samples of this type.
        style: its tags and the options that write it the same way.
    """

    pixels: Pixels
    mode: str
    style: PageStyle


def read_page_sizes(data: bytes) -> list[tuple[int, int]]:
    """Return (width, height) of each page, or of its tiles if they are larger, without decoding any.

    Raises:
        UnsupportedImageError: it is a raw photo.
    """
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        if file.pages and (kind := describe_raw(data, file)):
            raise UnsupportedImageError(
                "unsupported_format",
                f"it is a raw photo ({kind}), whose pages are previews; develop it to TIFF or JPEG first",
            )
        return [_largest_decoded_size(page) for page in _iter_pages(file)]


def read_pages(data: bytes) -> Iterator[Page]:
    """Decode the pages of a file: by tifffile those that Pillow has no mode for, by Pillow the others.

    Raises:
        UnsupportedImageError: samples other than unsigned integers of up to 8 or of 16 bits, or other than grey, RGB or
            CMYK with or without one alpha channel.
        ValueError: an invalid page.
    """
    with tifffile.TiffFile(io.BytesIO(data)) as file, ExitStack() as stack:
        image: Image.Image | None = None
        for number, page in enumerate(_iter_pages(file)):
            tags = read_ifd(data, page.offset, file.byteorder, is_bigtiff=file.is_bigtiff)
            bits = _read_bit_depth(page)
            alpha = _has_alpha(page)
            is_cmyka = alpha and page.photometric == _SEPARATED_PHOTOMETRIC
            is_unknown_to_pillow = file.is_bigtiff and file.byteorder == ">"
            if bits == 16 or (bits == 8 and (is_cmyka or is_unknown_to_pillow)):
                icc = tags.tags.get(ICC_TAG)
                pixels = _read_with_tifffile(page, icc.data if icc else None, alpha=alpha)
                mode = _PILLOW_MODES[bits].get((pixels.samples.shape[2], alpha), "CMYKA")
            else:
                if image is None:
                    image = stack.enter_context(_open_with_pillow(data, page))
                try:
                    pixels, mode = _read_with_pillow(image, number)
                except OSError as error:
                    raise (_unsupported_coding(page) or error) from error
            yield Page(pixels, mode, PageStyle(tags.without_tags(PIXEL_LAYOUT_TAGS), _read_write_options(page, bits)))


def _iter_pages(file: tifffile.TiffFile) -> Iterator[Any]:
    """Yield the pages of a file in the order of their directories.

    Raises:
        ValueError: the directories form a cycle.
    """
    seen: set[int] = set()
    for page in file.pages:
        if page.offset in seen:
            raise ValueError(f"its pages form a cycle after page {len(seen)}")
        seen.add(page.offset)
        yield page if isinstance(page, tifffile.TiffPage) else page.aspage()


def _largest_decoded_size(page: Any) -> tuple[int, int]:  # noqa: ANN401 — tifffile's types say Any
    """Return (width, height) of a page, or of its tiles if they are larger; all planes of a volume count as height."""
    whole = (int(page.imagewidth), int(page.imagelength) * max(1, int(page.imagedepth)))
    tile = (int(page.tilewidth), int(page.tilelength) * max(1, int(page.tiledepth))) if page.is_tiled else (0, 0)
    return max(whole, tile, key=lambda size: size[0] * size[1])


def _read_bit_depth(page: Any) -> int:  # noqa: ANN401
    """Return the bits per sample.

    Raises:
        UnsupportedImageError: samples that are not unsigned integers of up to 8 or of 16 bits.
    """
    bits = int(page.bitspersample)
    if page.sampleformat not in (1, 4):
        raise UnsupportedImageError("unsupported_mode", "its samples are not unsigned integers")
    if bits > 8 and bits != 16:
        raise UnsupportedImageError(
            "unsupported_bit_depth", f"{bits} bits per sample; TIFFs of up to 8 and of 16 bits are supported"
        )
    return bits


def _has_alpha(page: Any) -> bool:  # noqa: ANN401
    """Whether a page has an alpha channel.

    Raises:
        UnsupportedImageError: it has other extra channels, which would be lost.
    """
    more = [int(kind) for kind in page.extrasamples]
    if more and more not in _ALPHA_EXTRA_SAMPLES:
        raise UnsupportedImageError(
            "unsupported_mode", f"it has extra channels {more}; only a single alpha channel is supported"
        )
    if more == [_ASSOCIATED_ALPHA] and (page.bitspersample == 16 or page.photometric == _SEPARATED_PHOTOMETRIC):
        raise UnsupportedImageError(
            "unsupported_mode",
            "16-bit or CMYK samples with premultiplied (associated) alpha; convert it to straight alpha",
        )
    return bool(more)


def _open_with_pillow(data: bytes, page: Any) -> Image.Image:  # noqa: ANN401
    """Open a file by Pillow.

    Raises:
        UnsupportedImageError: samples that Pillow has no mode for.
        ValueError: an invalid page.
    """
    try:
        return Image.open(io.BytesIO(data), formats=["TIFF"])
    except UnidentifiedImageError as error:
        if not page.dataoffsets or max(page.dataoffsets) >= len(data) or not page.imagewidth * page.imagelength:
            raise ValueError("it starts like TIFF but is not a valid TIFF file") from error
        raise UnsupportedImageError("unsupported_mode", f"it has {_describe_samples(page)}") from error


def _read_with_pillow(image: Image.Image, number: int) -> tuple[Pixels, str]:
    """Return the samples of a page as Pillow reads them, in stored orientation, and their mode."""
    image.seek(number)
    mode = image.mode
    undo = _UNDO_PILLOW_ORIENTATION.get(image.getexif().get(ORIENTATION, 1))  # from XMP, too
    if undo is None:
        return Pixels.from_image(image), mode
    image.load()
    return Pixels.from_image(image.transpose(undo)), mode


def _unsupported_coding(page: Any) -> UnsupportedImageError | None:  # noqa: ANN401
    """Return the error for a page whose coding Pillow takes for damaged; None for any other coding."""
    if page.compression == _WEBP:
        name = "WebP"
    elif page.compression == _JPEG and page.planarconfig == _SEPARATE_PLANES:
        name = "JPEG in separate planes"
    else:
        return None
    return UnsupportedImageError(
        "unsupported_format",
        f"its pixels are coded as {name}, which is not read inside TIFF; save it with LZW or deflate",
    )


def _read_with_tifffile(page: Any, profile: bytes | None, *, alpha: bool) -> Pixels:  # noqa: ANN401
    """Return the samples of a page of 8 or 16 bits as they are stored."""
    channels = _CHANNELS_BY_PHOTOMETRIC.get(int(page.photometric), 0) + alpha
    is_supported = (
        channels > alpha
        and page.samplesperpixel == channels
        and page.imagedepth == page.tiledepth == 1
        and page.dtype in (np.uint8, np.uint16)
        # other codecs state a size of their own, which may be larger
        and (page.compression == 1 or page.compression in _COMPRESSIONS)
    )
    if not is_supported:
        raise UnsupportedImageError("unsupported_mode", f"it has {_describe_samples(page)}")
    array = page.asarray()
    if channels > 1 and page.planarconfig == 2:
        array = np.moveaxis(array, 0, -1)
    array = np.ascontiguousarray(array if array.ndim == 3 else array[:, :, None])
    if int(page.photometric) == 0:
        np.subtract(np.iinfo(array.dtype).max, array[:, :, :1], out=array[:, :, :1])
    return Pixels.from_array(array, profile, alpha=alpha)


def _describe_samples(page: Any) -> str:  # noqa: ANN401
    """Return a description of a page's samples for an error message."""
    return (
        f"{page.samplesperpixel} channels of {page.bitspersample} bits as photometric {_name_code(page.photometric)}, "
        f"compression {_name_code(page.compression)}; save it as grey, RGB or CMYK with LZW or deflate"
    )


def _name_code(code: Any) -> str:  # noqa: ANN401 — an enum of tifffile, or the number of an unknown code
    return f"{code.name} ({int(code)})" if hasattr(code, "name") else str(int(code))


def _read_write_options(page: Any, bits: int) -> dict[str, Any]:  # noqa: ANN401
    """Return tifffile's options for the compression, predictor and tiles of a page; a lossy codec becomes deflate."""
    kind = int(page.compression)
    options: dict[str, Any] = {} if kind == 1 else {"compression": _COMPRESSIONS.get(kind, "zlib")}
    if kind in (5, 8, 32946) and int(page.predictor) == 2 and bits in (8, 16):
        options["predictor"] = True
    if page.is_tiled and not (page.tilelength % 16 or page.tilewidth % 16):
        sides = ((page.tilelength, page.imagelength), (page.tilewidth, page.imagewidth))
        options["tile"] = tuple(min(tile, -(-side // 16) * 16) for tile, side in sides)
    elif not page.is_tiled and 0 < page.rowsperstrip < page.imagelength:
        options["rowsperstrip"] = page.rowsperstrip
    return options
