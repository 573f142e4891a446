"""Metrics of images against the truth, and of sets of images against natural ones."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from deepot.transport import Moments, wasserstein2_squared


def psnr(image: Tensor, truth: Tensor) -> float:
    """Return the peak signal-to-noise ratio in dB of images of one shape in [0, 1]; infinite if they are equal."""
    error = float((image.double() - truth.double()).square().mean())
    return -10 * math.log10(error) if error else math.inf


def ssim(image: Tensor, truth: Tensor) -> float:
    """Return the structural similarity (Wang et al. 2004) with a Gaussian window of 11, σ 1.5; mean over channels.

    Args:
        image: (B, C, H, W) in [0, 1], sides of at least 11 pixels.
        truth: The same shape and range.
    """
    positions = torch.arange(11, dtype=torch.float64) - 5
    window = torch.exp(-positions.square() / (2 * 1.5**2))
    window = window / window.sum()

    def local_mean(x: Tensor) -> Tensor:
        flat = x.reshape(-1, 1, *x.shape[-2:])
        return F.conv2d(F.conv2d(flat, window.view(1, 1, 11, 1)), window.view(1, 1, 1, 11))

    x, y = image.double().cpu(), truth.double().cpu()
    mean_x, mean_y = local_mean(x), local_mean(y)
    var_x, var_y = local_mean(x * x) - mean_x**2, local_mean(y * y) - mean_y**2
    covariance = local_mean(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return float((similarity / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).mean())


def frechet_distance(features: Moments, reference: Moments) -> float:
    """Return the Fréchet distance of two feature sets (Heusel et al. 2017) relative to the reference's total variance.

    W2² / tr(Σr). If the reference has no variance, like blank pages, it is 0 for an equal set and infinite otherwise.
    Small sets overestimate it.

    Raises:
        MomentsError: A set has fewer than two vectors.
    """
    natural = reference.gaussian()
    squared, variance = wasserstein2_squared(features.gaussian(), natural), float(natural.covariance.trace())
    if variance:
        return squared / variance
    return math.inf if squared else 0.0
