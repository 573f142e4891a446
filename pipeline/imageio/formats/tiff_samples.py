"""The samples of a TIFF page, decoded by Pillow or by tifffile."""

import io
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from deepot.errors import UnsupportedImageError
from deepot.photo import Pixels
from pipeline.imageio.formats.tiff_codecs import JPEG, LERC, SEPARATE_PLANES, STATED_SIZES, check_segments
from pipeline.imageio.metadata.ifd import ORIENTATION

COMPRESSIONS = {5: "lzw", 8: "zlib", 32946: "zlib", 32773: "packbits", 50000: "zstd", 34925: "lzma"}
"""tifffile's names of lossless compressions without a size of their own, by number."""
_ASSOCIATED_ALPHA = 1
_ALPHA_EXTRA_SAMPLES = ([_ASSOCIATED_ALPHA], [2], [999])  # values of ExtraSamples; the last is from an old CorelDRAW
CHANNELS_BY_PHOTOMETRIC = {0: 1, 1: 1, 2: 3, 5: 4}
"""Channels of grey from white and from black, RGB and CMYK, by the number of their photometric interpretation."""
_SEPARATED_PHOTOMETRIC = 5
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


def read_bit_depth(page: Any) -> int:  # noqa: ANN401 — tifffile's types say Any
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


def has_alpha(page: Any) -> bool:  # noqa: ANN401
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


def open_with_pillow(data: bytes, page: Any) -> Image.Image:  # noqa: ANN401
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


def read_with_pillow(image: Image.Image, number: int, profile: bytes | None) -> tuple[Pixels, str]:
    """Return the samples of a page as Pillow reads them, in stored orientation, and their mode."""
    image.seek(number)
    mode = image.mode
    if profile is not None:
        image.info["icc_profile"] = profile
    undo = _UNDO_PILLOW_ORIENTATION.get(image.getexif().get(ORIENTATION, 1))  # from XMP, too
    if undo is None:
        return Pixels.from_image(image), mode
    image.load()
    return Pixels.from_image(image.transpose(undo)), mode


def read_with_tifffile(
    data: bytes,
    page: Any,  # noqa: ANN401
    profile: bytes | None,
    *,
    alpha: bool,
) -> tuple[Pixels, str]:
    """Return the samples of a page of 8 or 16 bits as they are stored, and Pillow's mode of such samples.

    Raises:
        UnsupportedImageError: other channels, or a compression that is not read.
        ValueError: a strip or tile is missing, or the tags contradict each other.
    """
    has_stated_size = int(page.compression) in STATED_SIZES
    channels = CHANNELS_BY_PHOTOMETRIC.get(int(page.photometric), 0) + alpha
    is_supported = (
        channels > alpha
        and page.samplesperpixel == channels
        and page.imagedepth == page.tiledepth == 1
        and page.dtype in (np.uint8, np.uint16)
        and (page.compression == 1 or page.compression in COMPRESSIONS or has_stated_size)
        and not (has_stated_size and list(map(int, page.extrasamples)) == [_ASSOCIATED_ALPHA])
    )
    if not is_supported:
        raise UnsupportedImageError("unsupported_mode", f"it has {_describe_samples(page)}")
    if has_stated_size:
        check_segments(data, page)
    array = page.asarray()
    if page.compression == LERC and page.parent.byteorder == ">":
        array = array.byteswap()  # tifffile takes the native order, in which LERC is decoded, for that of the file
    if channels > 1 and page.planarconfig == 2:
        array = np.moveaxis(array, 0, -1)
    array = np.ascontiguousarray(array if array.ndim == 3 else array[:, :, None])
    if array.shape != (page.imagelength, page.imagewidth, channels):
        raise ValueError(f"its samples have the shape {array.shape}, which its tags do not state")
    if int(page.photometric) == 0:
        np.subtract(np.iinfo(array.dtype).max, array[:, :, :1], out=array[:, :, :1])
    mode = _PILLOW_MODES[array.dtype.itemsize * 8].get((channels - alpha, alpha), "CMYKA")
    return Pixels.from_array(array, profile, alpha=alpha), mode


def _describe_samples(page: Any) -> str:  # noqa: ANN401
    """Return a description of a page's samples for an error message."""
    return (
        f"{page.samplesperpixel} channels of {page.bitspersample} bits as photometric {_name_code(page.photometric)}, "
        f"compression {_name_code(page.compression)}; save it as grey, RGB or CMYK with LZW or deflate"
    )


def _name_code(code: Any) -> str:  # noqa: ANN401 — an enum of tifffile, or the number of an unknown code
    return f"{code.name} ({int(code)})" if hasattr(code, "name") else str(int(code))


def needs_tifffile(page: Any, bits: int, *, alpha: bool, is_big_endian_bigtiff: bool) -> bool:  # noqa: ANN401
    """Whether Pillow does not read a page, and tifffile may."""
    is_cmyka = alpha and page.photometric == _SEPARATED_PHOTOMETRIC
    is_pillows_jpeg = page.compression == JPEG and page.planarconfig != SEPARATE_PLANES
    has_other_codec = int(page.compression) in STATED_SIZES and not is_pillows_jpeg
    return bits == 16 or (bits == 8 and (is_cmyka or is_big_endian_bigtiff or has_other_codec))
