"""NIQE (Mittal, Soundararajan & Bovik 2013): how far local statistics of an image are from those of natural ones."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.special import gammaln
from torch import Tensor

from deepot.evaluation.luma import gaussian_mean, luma_levels
from deepot.transport import Moments

PATCH_SIDE = 96
"""Side of the patches in pixels, as in the paper; images smaller than two of them have no NIQE."""
N_FEATURES = 36
"""18 features of each patch at each of two scales."""
_MIN_SHARPNESS = 0.75  # of the sharpest patch of the image, T of the paper
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
_SHAPES = np.arange(0.2, 10.0005, 0.001)
_MOMENT_RATIOS = np.exp(2 * gammaln(2 / _SHAPES) - gammaln(1 / _SHAPES) - gammaln(3 / _SHAPES))
"""(E|x|)² / E x² of generalised Gaussians of these shapes."""

FloatArray = NDArray[np.float64]


def niqe_distance(patches: Moments, natural: Moments) -> float:
    """Return the NIQE of an image; lower is more natural (eq. 10 of the paper).

    It is the distance √((ν₁ − ν₂)ᵀ ((Σ₁ + Σ₂) / 2)⁺ (ν₁ − ν₂)) of the Gaussians of two sets of feature vectors.

    Args:
        patches: Moments of the features of all patches of the image.
        natural: Moments of the features of the sharp patches of natural photos.

    Returns:
        The distance; NaN if the image has fewer than two patches, or the natural photos no more patches than features.
    """
    if patches.count < 2 or natural.count <= N_FEATURES:
        return math.nan
    image, reference = patches.gaussian(), natural.gaussian()
    inverse = torch.linalg.pinv((image.covariance + reference.covariance) / 2, hermitian=True)
    offset = image.mean - reference.mean
    return math.sqrt(max(0.0, float(offset @ inverse @ offset)))


def compute_niqe_moments(image: Tensor) -> tuple[Moments, Moments]:
    """Return the moments of the NIQE features of all patches of an image, and of its sharp patches.

    Sharp patches, which the Gaussian of natural photos is fitted on, have more than 0.75 times the mean local deviation
    of the sharpest one (eq. 9 of the paper).

    Args:
        image: (1, 3, H, W) in [0, 1]; if it is smaller than 96 × 96 pixels, both are empty.
    """
    features, sharpness = compute_niqe_features(image)
    is_sharp = sharpness > _MIN_SHARPNESS * sharpness.max(initial=0.0)
    every, sharp = (Moments.from_patches(torch.from_numpy(rows)) for rows in (features, features[is_sharp]))
    return every, sharp


def compute_niqe_features(image: Tensor) -> tuple[FloatArray, FloatArray]:
    """Return the features of the patches of an image, (n, 36), and their sharpness, (n,), in levels of 255.

    Patches of 96 × 96 pixels do not overlap; the rest of the image is left out. At full and at half resolution, each
    has the shape and the mean scale of its normalised luma (eqs. 1 to 3), and the shape, mean and both scales of the
    products of neighbours in four directions (eqs. 6 to 8). A constant patch has the shape 0.2 and the scales 0.

    Args:
        image: (1, 3, H, W) in [0, 1].
    """
    luma = luma_levels(image)
    height, width = (side // PATCH_SIDE * PATCH_SIDE for side in luma.shape)
    if not height or not width:
        return np.zeros((0, N_FEATURES)), np.zeros(0)
    full = luma[:height, :width]
    half = F.interpolate(full[None, None], (height // 2, width // 2), mode="bicubic", antialias=True)[0, 0]
    sharpness, found = [], []
    for scaled, side in ((full, PATCH_SIDE), (half, PATCH_SIDE // 2)):
        normalised, deviation = _normalise(scaled)
        sharpness.append(_split(deviation, side).mean((1, 2)))
        found.append(_patch_features(_split(normalised, side)))
    return np.concatenate(found, 1), sharpness[0]


def fit_asymmetric_gaussian(values: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Fit asymmetric generalised Gaussians by matching moments (Lasmar, Stitou & Berthoumieu 2009).

    Args:
        values: (n, …): a sample for each of n distributions.

    Returns:
        The shape α in [0.2, 10], and the left and the right scale β, each (n,). The shape of zeros is 0.2, their scales
        are 0.
    """
    rows = values.reshape(len(values), -1)
    left, right = (_root_mean_square(rows, side) for side in (rows < 0, rows > 0))
    squares = np.square(rows).mean(1)
    ratio = np.divide(left, right, out=np.ones_like(left), where=right > 0)
    moment_ratio = np.divide(np.abs(rows).mean(1) ** 2, squares, out=np.zeros_like(squares), where=squares > 0)
    wanted = moment_ratio * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shape = np.interp(wanted, _MOMENT_RATIOS, _SHAPES)
    scale = np.exp((gammaln(1 / shape) - gammaln(3 / shape)) / 2)
    return shape, left * scale, right * scale


def _normalise(luma: Tensor) -> tuple[FloatArray, FloatArray]:
    """Return the luma less its local mean over its local deviation plus 1, and that deviation, both (H, W)."""
    mean, mean_square = (gaussian_mean(values, radius=3, sigma=7 / 6) for values in (luma, luma.square()))
    deviation = (mean_square - mean.square()).clamp(min=0).sqrt()
    return ((luma - mean) / (deviation + 1)).numpy(), deviation.numpy()


def _split(values: FloatArray, side: int) -> FloatArray:
    """Return the squares of (H, W), whose sides are multiples of `side`, as (n, side, side)."""
    rows, columns = (length // side for length in values.shape)
    return values.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)


def _patch_features(patches: FloatArray) -> FloatArray:
    """Return the 18 features of one scale of patches (n, side, side) of normalised luma, (n, 18)."""
    shape, left, right = fit_asymmetric_gaussian(patches)
    columns = [shape, (left + right) / 2]
    side = patches.shape[1]
    for down, across in _NEIGHBOURS:
        first = patches[:, : side - down, max(0, -across) : side - max(0, across)]
        second = patches[:, down:, max(0, across) : side + min(0, across)]
        shape, left, right = fit_asymmetric_gaussian(first * second)
        mean = (right - left) * np.exp(gammaln(2 / shape) - gammaln(1 / shape))
        columns += [shape, mean, left, right]
    return np.stack(columns, 1)


def _root_mean_square(rows: FloatArray, is_counted: NDArray[np.bool_]) -> FloatArray:
    """Return the root mean square of the counted values of each row, (n,); 0 where none is counted."""
    sums, counts = np.square(rows * is_counted).sum(1), is_counted.sum(1)
    return np.asarray(np.sqrt(sums / counts.clip(min=1)), dtype=np.float64)
