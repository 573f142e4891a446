"""Samples as the arrays that codecs read and write: bits scaled to uint16 and back, alpha as a channel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepot.errors import UnsupportedImageError
from deepot.photo import Pixels


def check_16_bits(bits: int) -> None:
    """Refuse samples of more than 16 bits.

    Raises:
        UnsupportedImageError: `unsupported_bit_depth`.
    """
    if bits > 16:
        raise UnsupportedImageError("unsupported_bit_depth", f"{bits} bits per sample; at most 16 are supported")


def to_uint16(samples: NDArray[Any], bits: int) -> NDArray[np.uint16]:
    """Scale samples of `bits` bits to the range of uint16."""
    return samples.astype(np.uint16) if bits == 16 else np.rint(samples * (65535 / (2**bits - 1))).astype(np.uint16)


def from_uint16(samples: NDArray[np.uint16], bits: int) -> NDArray[np.uint16]:
    """Scale samples of uint16 to `bits` bits: the inverse of `to_uint16`."""
    return samples if bits == 16 else np.rint(samples * ((2**bits - 1) / 65535)).astype(np.uint16)


def interleave_alpha(pixels: Pixels) -> NDArray[Any]:
    """Return the samples with alpha, if there is any, as the last channel: (H, W, C)."""
    return pixels.samples if pixels.alpha is None else np.dstack([pixels.samples, pixels.alpha])
