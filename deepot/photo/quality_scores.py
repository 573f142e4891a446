"""Scores: cheap numbers that say how sharp, noisy, blocky or clipped one photo is, and its perceptual hash."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepot.photo.pixels import LUMA_WEIGHTS, Pixels

JPEG_BLOCK = 8
"""Side of JPEG's blocks, and of the areas whose noise is estimated."""
_WINDOWS_PER_SIDE, _WINDOW_PIXELS = 3, 96  # larger photos are scored by 3 × 3 windows of 96 × 96 pixels
_MIN_SUBSAMPLED_SIDE = 192  # samples a side, at least, for what needs no neighbours: colour, clipping, hash
_QUIET_QUANTILE = 0.05  # of the areas, the one whose noise is taken for that of the photo
_QUIET_QUANTILE_RATIO = 0.75  # of the deviation of white noise, what that one shows of it: seen on a million such areas
_MIN_SIDE = 2 * JPEG_BLOCK + 2  # pixels a side; a smaller photo has no grid of blocks to speak of
_MIN_STEP = 0.01  # root mean square step, of 255, below which there is nothing to see

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class QualityScores:
    """What is said of one photo; None where it is too small (under 18 pixels a side) or shows nothing at all.

    Attributes:
        sharpness: root mean square step of luma between neighbouring pixels, relative to that across four pixels: 0.25
            for soft ramps, about 0.5 for photos in focus, towards 1 for nothing but noise.
        noise: standard deviation of white noise, of 255, in the quietest areas: 5 % of those of 8 × 8 pixels have less.
        blockiness: how much more steps are where JPEG's blocks meet, relative to the mean step; near 0 without a
            grid. The grid may begin anywhere: crops and turned photos have one too.
        clipped_low: share of samples at the darkest value.
        clipped_high: share of samples at the brightest value.
        phash: 64-bit perceptual hash, 16 hexadecimal digits; those of copies of one photo differ in a few bits.
    """

    sharpness: float | None
    noise: float | None
    blockiness: float | None
    clipped_low: float
    clipped_high: float
    phash: str


def score_quality(pixels: Pixels) -> QualityScores:
    """Score a photo; beyond 288 × 288 pixels it is sampled, so the time stays the same."""
    subsampled = _subsample(pixels)
    colour = subsampled[:, :, :3]
    low, high = (np.count_nonzero(colour == value) / colour.size for value in (0, pixels.max_value))
    if subsampled.shape[2] == 4:
        low, high = high, low  # ink
    windows = luma_windows(pixels)
    is_large_enough = min(windows.shape[1:]) >= _MIN_SIDE
    return QualityScores(
        estimate_sharpness(windows) if is_large_enough else None,
        estimate_noise(windows) if is_large_enough else None,
        estimate_blockiness(windows) if is_large_enough else None,
        low,
        high,
        str(imagehash.phash(Image.fromarray(_to_rgb8(subsampled)))),
    )


def luma_windows(pixels: Pixels) -> FloatArray:
    """Luma of 255: (1, H, W) of a small photo, windows (n, h, w) from all over a larger one, on whole blocks."""
    height, width = pixels.height, pixels.width
    if height * width <= (_WINDOWS_PER_SIDE * _WINDOW_PIXELS) ** 2:
        rows, columns = [slice(0, height)], [slice(0, width)]
    else:
        rows, columns = _window_slices(height), _window_slices(width)
    windows = np.concatenate([pixels.samples[row, column] for row, column in product(rows, columns)])
    luma = _to_luma(windows)
    return luma.reshape(len(rows) * len(columns), -1, luma.shape[1])


def estimate_sharpness(luma: FloatArray) -> float | None:
    """Root mean square step between neighbours relative to that across four pixels, both ways; luma (n, h, w)."""
    near, far = (_mean_square_step(luma, distance) for distance in (1, 4))
    return float(np.sqrt(near / far)) if far > _MIN_STEP**2 else None


def estimate_noise(luma: FloatArray) -> float:
    """Standard deviation of white noise in the quietest areas; luma (n, h, w).

    The mask of J. Immerkær, "Fast noise variance estimation" (1996), blind to ramps and straight edges, over areas of
    8 × 8 pixels. Areas without any change, as clipped ones are, say nothing.
    """
    across = luma[:, :, :-2] - 2 * luma[:, :, 1:-1] + luma[:, :, 2:]
    mask_response = across[:, :-2] - 2 * across[:, 1:-1] + across[:, 2:]
    count, height, width = mask_response.shape
    rows, columns = height // JPEG_BLOCK, width // JPEG_BLOCK
    areas = mask_response[:, : rows * JPEG_BLOCK, : columns * JPEG_BLOCK].reshape(
        count, rows, JPEG_BLOCK, columns, JPEG_BLOCK
    )
    variance = np.einsum("nrbcd,nrbcd->nrc", areas, areas) / (36 * JPEG_BLOCK**2)  # 36: sum of the mask's squares
    nonzero = variance[variance > 0]
    return float(np.sqrt(np.quantile(nonzero, _QUIET_QUANTILE)) / _QUIET_QUANTILE_RATIO) if nonzero.size else 0.0


def estimate_blockiness(luma: FloatArray) -> float:
    """How much more every eighth step is than those beside it, relative to the mean step, both ways; luma (n, h, w)."""
    return (
        _phase_excess(np.abs(np.diff(luma, axis=2))) + _phase_excess(np.abs(np.diff(luma, axis=1)).swapaxes(1, 2))
    ) / 2


def _phase_excess(steps: FloatArray) -> float:
    """Of steps (n, h, w - 1): the excess at one of eight phases of columns over that at most of them."""
    by_column = steps.reshape(-1, steps.shape[2]).mean(0).astype(np.float64)
    excess = by_column[1:-1] - (by_column[:-2] + by_column[2:]) / 2
    phases = np.array([excess[phase::JPEG_BLOCK].mean() for phase in range(JPEG_BLOCK)])
    return float((phases.max() - np.median(phases)) / max(by_column.mean(), _MIN_STEP))


def _mean_square_step(luma: FloatArray, distance: int) -> float:
    across = luma[:, :, distance:] - luma[:, :, :-distance]
    down = luma[:, distance:] - luma[:, :-distance]
    return float((np.vdot(across, across) / across.size + np.vdot(down, down) / down.size) / 2)


def _window_slices(side: int) -> list[slice]:
    """Where windows lie along a side: starts are multiples of a block."""
    length = min(_WINDOW_PIXELS, side)
    starts = np.linspace(0, side - length, _WINDOWS_PER_SIDE).astype(int) // JPEG_BLOCK * JPEG_BLOCK
    return [slice(start, start + length) for start in sorted(set(starts.tolist()))]


def _subsample(pixels: Pixels) -> NDArray[Any]:
    """Every so-many-th sample of a photo both ways, (h, w, C)."""
    rows, columns = (max(1, side // _MIN_SUBSAMPLED_SIDE) for side in (pixels.height, pixels.width))
    return np.ascontiguousarray(pixels.samples[::rows, ::columns])


def _to_luma(samples: NDArray[Any]) -> FloatArray:
    """Luma (H, W), of 255, of samples (H, W, C) of a photo."""
    if samples.shape[2] == 1:
        return samples[:, :, 0] * np.float32(255 / np.iinfo(samples.dtype).max)
    colour = samples if samples.shape[2] == 3 else _to_rgb8(samples)
    luma: FloatArray = colour.astype(np.float32) @ np.array(LUMA_WEIGHTS, dtype=np.float32)
    return luma * np.float32(255 / np.iinfo(colour.dtype).max)


def _to_rgb8(samples: NDArray[Any]) -> NDArray[np.uint8]:
    """Samples (H, W, C) of a photo as 8-bit RGB."""
    return samples if samples.shape[2] == 3 and samples.dtype == np.uint8 else Pixels(samples).to_rgb8()
