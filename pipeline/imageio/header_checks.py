"""Checks of what a header states, before any pixel is decoded, and the properties of a decoded photo."""

from collections.abc import Sequence
from typing import Any

from deepot.photo import Pixels
from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio.metadata.ifd import read_orientation
from pipeline.imageio.metadata.metadata import Metadata

_MAX_SIZES_SHOWN = 3


def check_pixel_count(sizes: Sequence[tuple[int, int]], max_pixels: int) -> None:
    """Refuse a photo whose pages, given as (width, height), have more than `max_pixels` pixels together.

    Raises:
        ImageError: `too_large`.
    """
    if sum(width * height for width, height in sizes) > max_pixels:
        shown = " + ".join(f"{width} × {height}" for width, height in sizes[:_MAX_SIZES_SHOWN])
        more = " + …" if len(sizes) > _MAX_SIZES_SHOWN else ""
        raise ImageError(ErrorCode.TOO_LARGE, f"{shown}{more} pixels are more than limits.max_pixels = {max_pixels}")


def check_single_frame(*, is_animated: bool) -> None:
    """Refuse a photo that has several frames.

    Raises:
        ImageError: `animated`.
    """
    if is_animated:
        raise ImageError(
            ErrorCode.ANIMATED, "it has several frames; only single photos and TIFFs of several pages are supported"
        )


def make_properties(format_name: str, mode: str, metadata: Metadata, pages: list[Pixels], bits: int) -> dict[str, Any]:
    """Return the manifest columns of a decoded photo: see `DecodedImage.properties`."""
    first = pages[0]
    is_grey_alpha = first.samples.shape[2] == 1 and first.alpha is not None
    return {
        "width": first.width,
        "height": first.height,
        "mode": "LA" if is_grey_alpha and mode == "RGBA" else mode,  # Pillow's mode for 16-bit grey with alpha
        "bit_depth": bits,
        "format": format_name,
        "pages": len(pages),
        "orientation": read_orientation(metadata.exif),
        "has_alpha": first.alpha is not None,
        "has_icc": metadata.icc is not None,
        "has_exif": metadata.exif is not None,
        "other_pages": None,
    }
