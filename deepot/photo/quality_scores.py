"""Quality scores of a single photo: sharpness, noise, blockiness, clipping and a perceptual hash."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepot.photo.pixels import LUMA_WEIGHTS, Pixels

JPEG_BLOCK = 8
"""Side of the blocks of JPEG, and of the areas whose noise is estimated, in pixels."""
_WINDOWS_PER_SIDE, _WINDOW_PIXELS = 3, 96  # larger photos are scored by 3 × 3 windows of 96 × 96 pixels
_MIN_SUBSAMPLED_SIDE = 192  # minimum side, in pixels, of the subsampled photo for clipping and perceptual hash
_QUIET_QUANTILE = 0.05  # quantile of the noise of all areas that is taken for the noise of the photo
_QUIET_QUANTILE_RATIO = 0.75  # that quantile relative to the deviation of white noise, measured on a million areas
_MIN_SIDE = 2 * JPEG_BLOCK + 2  # in pixels; a smaller photo does not show a grid of blocks
_MIN_STEP = 0.01  # root mean square step, on the 0–255 scale, below which a photo counts as uniform

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class QualityScores:
    """Quality scores of one photo; a score is None if the photo is too small (under 18 pixels a side) or uniform.

    Attributes:
        sharpness: root mean square step of luma between neighbouring pixels, relative to that between pixels four
            apart: 0.25 for soft ramps, about 0.5 for photos in focus, close to 1 for pure noise.
        noise: standard deviation of white noise on the 0–255 scale, estimated in quiet areas: 5 % of the areas of
            8 × 8 pixels have less.
        blockiness: excess of the steps at the borders of JPEG's blocks, relative to the mean step; close to 0 without
            a grid. The grid may start anywhere, as in cropped and rotated photos.
        clipped_low: proportion of samples with the darkest value.
        clipped_high: proportion of samples with the brightest value.
        phash: 64-bit perceptual hash, 16 hexadecimal digits; those of copies of a photo differ in few bits.
    """

    sharpness: float | None
    noise: float | None
    blockiness: float | None
    clipped_low: float
    clipped_high: float
    phash: str


def score_quality(pixels: Pixels) -> QualityScores:
    """Compute the quality scores of a photo.

    Photos of more than 288 × 288 pixels are scored by windows, so that the time does not grow with their size.

    Example:
        >>> from deepot import Pixels
        >>> ramp = np.tile(np.arange(64, dtype=np.uint8)[None, :, None], (64, 1, 3))
        >>> scores = score_quality(Pixels(ramp))
        >>> round(scores.sharpness, 2), scores.noise, scores.clipped_high
        (0.25, 0.0, 0.0)
    """
    subsampled = _subsample(pixels)
    colour = subsampled[:, :, :3]
    low, high = (float(np.count_nonzero(colour == value) / colour.size) for value in (0, pixels.max_value))
    if subsampled.shape[2] == 4:
        low, high = high, low  # more ink is darker
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
    """Return luma on the 0–255 scale: a small photo as (1, H, W), windows of a larger one as (n, h, w).

    The windows are spread over the photo and start at multiples of a block.
    """
    height, width = pixels.height, pixels.width
    if height * width <= (_WINDOWS_PER_SIDE * _WINDOW_PIXELS) ** 2:
        rows, columns = [slice(0, height)], [slice(0, width)]
    else:
        rows, columns = _window_slices(height), _window_slices(width)
    windows = np.concatenate([pixels.samples[row, column] for row, column in product(rows, columns)])
    luma = _to_luma(windows)
    return luma.reshape(len(rows) * len(columns), -1, luma.shape[1])


def estimate_sharpness(luma: FloatArray) -> float | None:
    """Return the root mean square step between neighbours relative to that over four pixels; luma (n, h, w)."""
    near, far = (_mean_square_step(luma, distance) for distance in (1, 4))
    return float(np.sqrt(near / far)) if far > _MIN_STEP**2 else None


def estimate_noise(luma: FloatArray) -> float:
    """Return the standard deviation of white noise in quiet areas; luma (n, h, w).

    The mask of J. Immerkær, "Fast noise variance estimation" (1996), which ignores ramps and straight edges, is
    evaluated over areas of 8 × 8 pixels. Uniform areas, such as clipped ones, are left out.
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
    """Return the excess of every eighth step over its neighbours, relative to the mean step; luma (n, h, w)."""
    across, down = luma[:, :, 1:] - luma[:, :, :-1], luma[:, 1:] - luma[:, :-1]
    return (_phase_excess(np.abs(across, out=across)) + _phase_excess(np.abs(down, out=down).swapaxes(1, 2))) / 2


def _phase_excess(steps: FloatArray) -> float:
    """Return the largest excess of steps (n, h, w − 1) at one of eight column phases over the median phase."""
    by_column = steps.reshape(-1, steps.shape[2]).mean(0).astype(np.float64)
    excess = by_column[1:-1] - (by_column[:-2] + by_column[2:]) / 2
    of_phases = (excess[phase::JPEG_BLOCK] for phase in range(JPEG_BLOCK))
    ordered = sorted(float(np.add.reduce(found)) / len(found) for found in of_phases)  # NumPy's means take longer
    median = (ordered[JPEG_BLOCK // 2 - 1] + ordered[JPEG_BLOCK // 2]) / 2
    return (ordered[-1] - median) / max(float(by_column.mean()), _MIN_STEP)


def _mean_square_step(luma: FloatArray, distance: int) -> float:
    across = luma[:, :, distance:] - luma[:, :, :-distance]
    down = luma[:, distance:] - luma[:, :-distance]
    return float((np.vdot(across, across) / across.size + np.vdot(down, down) / down.size) / 2)


def _window_slices(side: int) -> list[slice]:
    """Return the windows along a side, which start at multiples of a block."""
    length = min(_WINDOW_PIXELS, side)
    starts = np.linspace(0, side - length, _WINDOWS_PER_SIDE).astype(int) // JPEG_BLOCK * JPEG_BLOCK
    return [slice(start, start + length) for start in sorted(set(starts.tolist()))]


def _subsample(pixels: Pixels) -> NDArray[Any]:
    """Return a photo subsampled by an integer step along each axis, (h, w, C)."""
    rows, columns = (max(1, side // _MIN_SUBSAMPLED_SIDE) for side in (pixels.height, pixels.width))
    return np.ascontiguousarray(pixels.samples[::rows, ::columns])


def _to_luma(samples: NDArray[Any]) -> FloatArray:
    """Return the luma (H, W) on the 0–255 scale of samples (H, W, C)."""
    if samples.shape[2] == 1:
        return samples[:, :, 0] * np.float32(255 / np.iinfo(samples.dtype).max)
    colour = samples if samples.shape[2] == 3 else _to_rgb8(samples)
    luma: FloatArray = colour.astype(np.float32) @ np.array(LUMA_WEIGHTS, dtype=np.float32)
    return luma * np.float32(255 / np.iinfo(colour.dtype).max)


def _to_rgb8(samples: NDArray[Any]) -> NDArray[np.uint8]:
    """Return samples (H, W, C) as 8-bit RGB."""
    return samples if samples.shape[2] == 3 and samples.dtype == np.uint8 else Pixels(samples).to_rgb8()
