"""TIFFs whose pages are not all photos: pyramids, thumbnails, masks, infrared, depth."""

import io
from contextlib import contextmanager

import numpy as np
import tifffile

from pipeline.imageio.image_file import decode, encode
from tests.support.photos import make_photo

MAX_PIXELS = 10**9
REDUCED, MASK, DEPTH_MAP = 1, 4, 8
"""Bits of NewSubfileType."""
CONTAINERS = {
    "classic": {},
    "big-endian": {"byteorder": ">"},
    "BigTIFF": {"bigtiff": True},
    "big-endian BigTIFF": {"byteorder": ">", "bigtiff": True},
}
"""Options of `write_pages`, by name."""
OLD_REDUCED = (255, 3, 1, 2, True)
"""The tag SubfileType of TIFF 5.0, which says that a page is reduced."""


def make_samples(seed=3, width=64, height=48, bits=8):
    """RGB samples: (height, width, 3)."""
    samples = np.asarray(make_photo(seed, width, height))
    return samples if bits == 8 else samples.astype(np.uint16) * 257


def make_mask(width=64, height=48, dtype=np.uint8):
    """Samples that no photo has: (height, width)."""
    top = np.iinfo(dtype).max
    return np.random.default_rng(8).integers(0, top, (height, width), dtype, endpoint=True)


def block_mean(samples, factor):
    """The means of squares of `factor` × `factor` samples: (H / factor, W / factor, C), rounded."""
    height, width = (side // factor for side in samples.shape[:2])
    blocks = samples[: height * factor, : width * factor].reshape(height, factor, width, factor, -1)
    return np.rint(blocks.mean((1, 3))).astype(samples.dtype)


def write_pages(*pages, **options):
    """A TIFF of pages, each (samples, options of tifffile); `subifds` as there. `options` are those of the file."""
    with io.BytesIO() as file:
        with tifffile.TiffWriter(file, **options) as writer:
            for samples, page_options in pages:
                colours = "rgb" if samples.ndim == 3 and samples.shape[2] in (3, 4) else "minisblack"
                given = {"photometric": colours, "metadata": None, "software": False, "contiguous": False}
                given |= page_options
                mark = (254, 4, 1, given.pop("subfiletype", 0), True)  # tifffile's argument takes bilevel masks only
                given["extratags"] = [*given.get("extratags", ()), mark]
                writer.write(samples, **given)
        return file.getvalue()


@contextmanager
def open_page(data, *path):
    """tifffile's page of a number, or its subdirectory if there is a second number."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[path[0]]
        for number in path[1:]:
            page = page.pages[number]
        yield page


def read_page(data, *path):
    """The samples of a page, and of its subdirectory if there is a second number."""
    with open_page(data, *path) as page:
        return page.asarray()


def read_segments(data, *path):
    """The encoded strips or tiles of a page, and its compression."""
    with open_page(data, *path) as page:
        parts = zip(page.dataoffsets, page.databytecounts, strict=True)
        return [data[start : start + count] for start, count in parts], int(page.compression)


def encode_pyramid_tiff():
    """A photo with two levels of a pyramid, one of them in a subdirectory, and a mask."""
    return write_pages(
        (make_samples(), {"subifds": 1, "tile": (16, 16), "compression": "zlib"}),
        (make_samples(5, 32, 24), {"subfiletype": REDUCED}),
        (make_samples(5, 16, 12), {"subfiletype": REDUCED}),
        (make_mask() > 128, {"subfiletype": MASK, "compression": "packbits"}),
    )


def restored(data, form="same", policy="keep"):
    """The result for a file whose photos are inverted, as transport would change them, and their new samples."""
    photo = decode(data, MAX_PIXELS)
    for page in photo.pages:
        page.samples[:] = page.max_value - page.samples
    return encode(photo, photo.pages, form, policy), [page.samples for page in photo.pages]
