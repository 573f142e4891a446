"""Square blocks of a channel, which pixels are clipped, and luma."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepot.photo import LUMA_WEIGHTS

FloatArray = NDArray[np.float32]

WHITE = 255.0
"""The largest sample; black is 0."""


def split_into_blocks(channel: NDArray[Any], side: int) -> NDArray[Any]:
    """Return the complete square blocks of a channel (H, W) as (n, side, side).

    Example:
        >>> split_into_blocks(np.arange(12).reshape(3, 4), 2).tolist()
        [[[0, 1], [4, 5]], [[2, 3], [6, 7]]]
    """
    rows, columns = (length // side for length in channel.shape)
    blocks = channel[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return blocks.transpose(0, 2, 1, 3).reshape(-1, side, side)


def find_clipped(channels: FloatArray) -> NDArray[np.bool_]:
    """Return the pixels (H, W) of an image (C, H, W) where a channel has the darkest or the brightest value."""
    return np.asarray(((channels <= 0) | (channels >= WHITE)).any(0))


def to_luma(channels: FloatArray) -> FloatArray:
    """Return the luma (H, W) of an image (C, H, W): grey, or red, green and blue.

    Example:
        >>> to_luma(np.full((3, 1, 2), 80, np.float32)).round(3).tolist()
        [[80.0, 80.0]]
    """
    if len(channels) == 1:
        return np.asarray(channels[0])
    luma: FloatArray = np.tensordot(np.array(LUMA_WEIGHTS, np.float32), channels, 1)
    return luma
