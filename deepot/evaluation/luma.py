"""The luma of images and Gaussian means of it."""

import torch
import torch.nn.functional as F
from torch import Tensor

from deepot.photo import LUMA_WEIGHTS


def luma_levels(image: Tensor) -> Tensor:
    """Return the luma of an image (1, 3, H, W) in [0, 1] in levels of 255, (H, W), float64, on the CPU."""
    luma: Tensor = torch.tensordot(torch.tensor(LUMA_WEIGHTS, dtype=torch.float64), image[0].double().cpu(), 1) * 255
    return luma


def gaussian_window(radius: int, sigma: float) -> Tensor:
    """Return the weights of a Gaussian mean, (2 · radius + 1,), float64, sum 1."""
    positions = torch.arange(-radius, radius + 1, dtype=torch.float64)
    window = torch.exp(-positions.square() / (2 * sigma**2))
    return window / window.sum()


def gaussian_mean(luma: Tensor, radius: int, sigma: float) -> Tensor:
    """Return the Gaussian mean of (H, W), float64, of the same size; border values are continued."""
    kernel = gaussian_window(radius, sigma)
    padded = F.pad(luma[None, None], (radius,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))[0, 0]
