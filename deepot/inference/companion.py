"""Mixing a restored photo with its companion, another version of it with less error."""

import torch

from deepot.inference.bands import luma_difference
from deepot.photo import Pixels

_STRIP_PIXELS = 2**20  # pixels mixed at a time, for temporary arrays of 12 MB each


def check_companion_size(restored: Pixels, companion: Pixels) -> None:
    """Check that a companion has the size of its restored photo.

    Raises:
        ValueError: It has another one.
    """
    if (restored.height, restored.width) != (companion.height, companion.width):
        raise ValueError(
            f"the companion has {companion.width} × {companion.height} pixels, the restored photo "
            f"{restored.width} × {restored.height}: give the companion in the same size (`Pixels.resize`)"
        )


@torch.inference_mode()
def mix_companion(pixels: Pixels, companion: Pixels, share: float, *, luma_only: bool = False) -> None:
    """Make x* + share · (c − x*) of the samples x* of a photo, in place.

    Args:
        pixels: The photo, whose mode and bit depth are kept.
        companion: The companion c, of the same size, in any mode and bit depth.
        share: The share of the companion.
        luma_only: Whether all channels change by the same luma.

    Raises:
        ValueError: The companion has another size.
    """
    check_companion_size(pixels, companion)
    height = max(1, _STRIP_PIXELS // max(1, pixels.width))
    for top in range(0, pixels.height, height):
        rows = slice(top, min(top + height, pixels.height))
        delta = share * (companion.to_rgb(rows) - pixels.to_rgb(rows))
        pixels.add_rgb_delta(top, luma_difference(delta) if luma_only else delta)
