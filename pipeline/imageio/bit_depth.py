"""Depths: samples of 9 to 15 bits as uint16 and back."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def to_uint16(samples: NDArray[Any], bits: int) -> NDArray[np.uint16]:
    """Samples of so many bits, spread over all of uint16."""
    return samples.astype(np.uint16) if bits == 16 else np.rint(samples * (65535 / (2**bits - 1))).astype(np.uint16)


def from_uint16(samples: NDArray[np.uint16], bits: int) -> NDArray[np.uint16]:
    """What `to_uint16` gave, as samples of so many bits again."""
    return samples if bits == 16 else np.rint(samples * ((2**bits - 1) / 65535)).astype(np.uint16)
