"""A photo as files that a web server hands out as a IIIF image service of level 0 (Image API 3.0)."""

import io
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from PIL import Image

TILE_SIDE = 512
"""Pixels of the sides of tiles."""
_JPEG_QUALITY = 90


class ImageService(NamedTuple):
    """An image service: its URI, and the size of its image in pixels."""

    uri: str
    width: int
    height: int


def iter_service_files(image: Image.Image, uri: str) -> Iterator[tuple[str, bytes]]:
    """Yield the path below a service, and the bytes, of every file that it consists of.

    These are the tiles of all scales, the complete image in each scale, and `info.json`, which comes last.

    Args:
        image: the photo, upright, in grey or RGB of 8 bits.
        uri: the URI of the service.
    """
    factors = list(iter_scale_factors(image.width, image.height))
    for factor in factors:
        scaled = image.resize(_scale(image.size, factor), Image.Resampling.LANCZOS) if factor > 1 else image
        size = "max" if factor == 1 else f"{scaled.width},{scaled.height}"
        yield f"full/{size}/0/default.jpg", _to_jpeg(scaled)
        if max(scaled.size) > TILE_SIDE:
            yield from _iter_tiles(image.size, scaled, factor)
    yield "info.json", json.dumps(describe_service(ImageService(uri, *image.size))).encode()


def describe_service(service: ImageService) -> dict[str, Any]:
    """Return the contents of `info.json`."""
    factors = list(iter_scale_factors(service.width, service.height))
    sizes = [_scale((service.width, service.height), factor) for factor in reversed(factors)]
    return {
        "@context": "http://iiif.io/api/image/3/context.json",
        "id": service.uri,
        "type": "ImageService3",
        "protocol": "http://iiif.io/api/image",
        "profile": "level0",
        "width": service.width,
        "height": service.height,
        "sizes": [{"width": width, "height": height} for width, height in sizes],
        "tiles": [{"width": TILE_SIDE, "height": TILE_SIDE, "scaleFactors": factors}],
    }


def iter_scale_factors(width: int, height: int) -> Iterator[int]:
    """Yield 1, 2, 4, … up to the first by which an image fits into one tile."""
    factor = 1
    yield factor
    while max(_scale((width, height), factor)) > TILE_SIDE:
        factor *= 2
        yield factor


def _iter_tiles(full_size: tuple[int, int], scaled: Image.Image, factor: int) -> Iterator[tuple[str, bytes]]:
    """Yield the tiles of an image in one scale; their regions are those of the image in its full size."""
    width, height = full_size
    for top in range(0, scaled.height, TILE_SIDE):
        for left in range(0, scaled.width, TILE_SIDE):
            right, bottom = min(left + TILE_SIDE, scaled.width), min(top + TILE_SIDE, scaled.height)
            x, y = left * factor, top * factor
            region = f"{x},{y},{min(TILE_SIDE * factor, width - x)},{min(TILE_SIDE * factor, height - y)}"
            path = f"{region}/{right - left},{bottom - top}/0/default.jpg"
            yield path, _to_jpeg(scaled.crop((left, top, right, bottom)))


def _scale(size: tuple[int, int], factor: int) -> tuple[int, int]:
    width, height = size
    return -(-width // factor), -(-height // factor)


def _to_jpeg(image: Image.Image) -> bytes:
    with io.BytesIO() as file:
        image.save(file, "JPEG", quality=_JPEG_QUALITY)
        return file.getvalue()
