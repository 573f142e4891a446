"""Metrics of images against the truth, and of sets of images against natural ones."""

import math

import torch.nn.functional as F
from torch import Tensor

from deepot.evaluation.luma import gaussian_mean, gaussian_window, luma_levels
from deepot.transport import Moments, wasserstein2_squared

_WINDOW = 32  # pixels
_FLAT_STD = 1.5  # levels of 255


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
    window = gaussian_window(radius=5, sigma=1.5)

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


def flat_area_repetition(image: Tensor, restored: Tensor, period: int = 8) -> list[float]:
    """Return how much flat areas of an image repeat themselves at a period: one value for each flat window.

    Flat are the windows of 32 × 32 pixels (or four periods, if that is more), half a window apart, where the luma of
    the restored photo varies by less than 1.5 levels (standard deviation) around its Gaussian mean (σ = 4 pixels). In
    such a window the luma of the image, less its own Gaussian mean, has an autocorrelation at each lag along rows and
    columns; the value is that at the period minus the mean of those one pixel less and one pixel more. It is about 0
    for photos, and positive for a pattern that a decoder draws in every cell. Windows where the image does not vary at
    all are left out.

    Args:
        image: The image, (1, 3, H, W) in [0, 1].
        restored: The restored photo that decides where it is flat, likewise.
        period: Pixels, the autoencoder's factor; with 1 there is nothing to repeat, and no value.
    """
    if period < 2:
        return []
    side = max(_WINDOW, 4 * period)
    fine, fine_restored = (_fine_luma(each) for each in (image, restored))
    found = []
    for top in range(0, fine.shape[0] - side + 1, side // 2):
        for left in range(0, fine.shape[1] - side + 1, side // 2):
            place = (slice(top, top + side), slice(left, left + side))
            values = fine[place] - fine[place].mean()
            variance = float(values.square().mean())
            if float(fine_restored[place].std()) >= _FLAT_STD or variance < 1e-6:
                continue
            before, at, after = (_autocorrelation(values, lag) / variance for lag in (period - 1, period, period + 1))
            found.append(at - (before + after) / 2)
    return found


def _fine_luma(image: Tensor) -> Tensor:
    """Return the luma (H, W) in levels of 255, less its Gaussian mean (σ = 4 pixels), float64."""
    luma = luma_levels(image)
    return luma - gaussian_mean(luma, radius=16, sigma=4.0)


def _autocorrelation(values: Tensor, lag: int) -> float:
    """Return the mean product of values (h, w) that are `lag` apart, along rows and columns."""
    across, down = values[:, lag:] * values[:, :-lag], values[lag:] * values[:-lag]
    return float(across.mean() + down.mean()) / 2


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
