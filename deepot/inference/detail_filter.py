"""Details of an image: what is finer than a latent position, without brightness and colour of larger areas."""

from torch import Tensor
from torch.nn import functional

FILTER_RADIUS = 1
"""How many cells away a cell can change the details of another."""


def low_pass(image: Tensor, factor: int) -> Tensor:
    """What is coarser than a cell of `factor` × `factor` pixels: cell means, interpolated bilinearly.

    Linear and local, and the same on a part of the image that starts at a multiple of `factor`, but for `FILTER_RADIUS` cells
    next to a cut.

    Args:
        image: (B, C, H, W); H and W are multiples of `factor`.
        factor: side of a cell in pixels, a cell being one latent position: 8 for most autoencoders. With 1 everything
            is coarse.

    Returns:
        (B, C, H, W).
    """
    means = functional.avg_pool2d(image, factor)
    return functional.interpolate(means, scale_factor=factor, mode="bilinear", align_corners=False)


def high_pass(image: Tensor, factor: int) -> Tensor:
    """The image (B, C, H, W) without what is coarse."""
    return image - low_pass(image, factor)
