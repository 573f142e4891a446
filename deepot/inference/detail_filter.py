"""The high-pass that separates fine detail from the brightness and colour of larger areas."""

from torch import Tensor
from torch.nn import functional

FILTER_RADIUS = 1
"""How many cells away a cell can change the detail of another."""


def low_pass(image: Tensor, factor: int) -> Tensor:
    """Return what is coarser than a cell of `factor` × `factor` pixels: cell means, interpolated bilinearly.

    It is linear and local: a crop that starts at a multiple of `factor` has the same result as the image, except within
    `FILTER_RADIUS` cells of the cut.

    Args:
        image: (B, C, H, W); H and W are multiples of `factor`.
        factor: Side of a cell in pixels, one latent position: 8 for most autoencoders. With 1 everything is coarse.

    Returns:
        (B, C, H, W).
    """
    means = functional.avg_pool2d(image, factor)
    return functional.interpolate(means, scale_factor=factor, mode="bilinear", align_corners=False)


def high_pass(image: Tensor, factor: int) -> Tensor:
    """Return the image (B, C, H, W) minus its `low_pass`."""
    return image - low_pass(image, factor)
