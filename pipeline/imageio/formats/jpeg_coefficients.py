"""Reading the quantised coefficients of a JPEG file."""

import io
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin

from deepot.photo import BLOCK, JpegCoefficients, JpegComponent
from pipeline.imageio.formats import jpeg_mpf
from pipeline.imageio.formats.jpeg_coding import is_rgb, refine_table

_SHARED_MEMORY = "/dev/shm"  # a folder in memory
_METADATA_MARKERS = (*range(0xE1, 0xEE), 0xEF, 0xFE)  # all but JFIF and Adobe, which say how colours are coded
_SOI, _START_OF_SCAN = b"\xff\xd8", 0xDA


def read_coefficients(data: bytes, *, same_format: bool) -> JpegCoefficients | None:
    """Return the quantised coefficients of a JPEG file that Pillow can decode.

    Args:
        data: the file.
        same_format: whether results are written with the options of `refine_options`.

    Returns:
        None for CMYK and YCCK, arithmetic coding, more than 8 bits, and components whose sampling is not a whole number
        of pixels.
    """
    with Image.open(io.BytesIO(data), formats=["JPEG", "MPO"]) as image:
        if not isinstance(image, JpegImagePlugin.JpegImageFile) or image.layers not in (1, 3):
            return None
        sampling, is_ycc = [part[1:3] for part in image.layer], image.layers == 3 and not is_rgb(image)
        tables = [image.quantization.get(part[3]) for part in image.layer]
        width, height = image.size
    if image.layers == 1:
        sampling = [(1, 1)]  # of a single component, T.81 ignores the factors
    found = _read_blocks(_strip_metadata(data), len(sampling))
    most_across, most_down = (max(factors) for factors in zip(*sampling, strict=True))
    components: list[JpegComponent] = []
    for (across, down), table, blocks in zip(sampling, tables, found, strict=False):
        if table is None or most_across % across or most_down % down:
            return None
        steps = most_down // down, most_across // across
        size = tuple(-(-side // (BLOCK * step)) for side, step in zip((height, width), steps, strict=True))
        if blocks.shape != (*size, BLOCK, BLOCK):
            return None
        fine = None
        if same_format and steps == (1, 1):  # otherwise colours are written with another sampling
            fine = _to_matrix(refine_table(table, is_chroma=is_ycc and len(components) > 0))
        components.append(JpegComponent(blocks, _to_matrix(table), *steps, fine))
    complete = len(components) == len(sampling)
    return JpegCoefficients(height, width, tuple(components), is_ycc) if complete else None


def _to_matrix(table: Sequence[int]) -> NDArray[np.int64]:
    return np.array(table, np.int64).reshape(BLOCK, BLOCK)


def _read_blocks(data: bytes, n_components: int) -> list[NDArray[np.int16]]:
    """Return the coefficients of each component, (h, w, 8, 8); an empty list if the file cannot be read."""
    import jpeglib  # imported for JPEG files only; it reads files only

    folder = _SHARED_MEMORY if os.path.isdir(_SHARED_MEMORY) else None
    with tempfile.TemporaryDirectory(prefix="deepot-", dir=folder) as name:
        path = Path(name) / "photo.jpg"
        path.write_bytes(data)
        try:
            jpeg = jpeglib.read_dct(str(path))
            return [np.asarray(part, np.int16) for part in (jpeg.Y, jpeg.Cb, jpeg.Cr)[:n_components]]
        except (OSError, ValueError, IndexError):
            return []


def _strip_metadata(data: bytes) -> bytes:
    """Return a file without segments that do not concern its samples: jpeglib has room for 50 of them."""
    parts, position = [_SOI], len(_SOI)
    for marker, start, end in jpeg_mpf.iter_segments(data, position):
        if marker == _START_OF_SCAN:
            break
        if marker in _METADATA_MARKERS:
            parts.append(data[position : start - 4])
            position = end
    return b"".join([*parts, data[position:]])
