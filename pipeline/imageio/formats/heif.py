"""HEIF: samples of 10 and 12 bits, in and out."""

import importlib
import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from deepot.photo import Pixels
from pipeline.imageio.bit_depth import from_uint16, to_uint16

HEIF_MAX_BITS = 12


def decode16(data: bytes, bits: int, profile: bytes | None) -> Pixels:
    """The samples of a file of 10 or 12 bits, spread over all of uint16, upright."""
    heif = importlib.import_module("pillow_heif")
    file = heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False, hdr_to_16bit=False)
    array = np.asarray(file[file.primary_index])[: file.size[1], : file.size[0]]
    alpha = array.ndim == 3 and array.shape[2] == 4
    if alpha and "chroma" not in file.info and (array[:, :, :1] == array[:, :, 1:3]).all():
        array = array[:, :, [0, 3]]  # there are no colours in the file
    return Pixels.from_array(to_uint16(array, bits), profile, alpha=alpha)


def encode16(pixels: Pixels, bits: int, options: Mapping[str, Any], info: Mapping[str, bytes]) -> bytes:
    """A file of 10 or 12 bits a sample.

    Args:
        pixels: grey or RGB, of uint16.
        bits: what is kept of it: 10, or 12 for anything above.
        options: of pillow_heif: quality, chroma.
        info: `icc_profile`, `exif`, `read_xmp`, where the photo has them.
    """
    heif = importlib.import_module("pillow_heif")
    bits = 10 if bits <= 10 else HEIF_MAX_BITS
    samples = pixels.samples
    if pixels.alpha is not None:
        samples = np.dstack([samples, pixels.alpha])
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[samples.shape[2]]
    size = (pixels.width, pixels.height)
    file = heif.from_bytes(f"{mode};{bits}", size, np.ascontiguousarray(from_uint16(samples, bits)).tobytes())
    file[0].info.update(info)
    with io.BytesIO() as sink:
        file.save(sink, **options)
        return sink.getvalue()
