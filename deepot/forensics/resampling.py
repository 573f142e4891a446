"""Whether a photo was enlarged, and by which factor, from the periods that interpolation leaves in its samples."""

from math import gcd

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from deepot.forensics.blocks import FloatArray

MAX_FACTOR = 7
"""The largest factor that is looked for; the period of 8 is that of JPEG's blocks."""
_PERIOD_MULTIPLE = 2 * 2 * 3  # lines are cut to a multiple of this and of the factor
_TREND_LINES = 9
_MIN_LINES = 48
_FLOOR = 0.05  # levels, added to mean steps before their logarithm is taken
_JPEG_PERIOD = 8
_MIN_PEAK = 10.0  # of a period, relative to the median of the spectrum; photos have up to 5
_MIN_PEAK_SHARE = 0.25  # of the highest peak
_MIN_GRID_RATIO = {2: 1.1, 4: 0.78}
"""Period → its peak relative to that of JPEG's own period, of which JPEG's grid alone has less."""


def find_enlargement(luma: FloatArray) -> int | None:
    """Return the factor, a whole number, by which a photo was enlarged.

    Interpolated samples have a variance that is periodic (Gallagher, "Detection of linear and cubic interpolation in
    JPEG compressed images", 2005): the mean absolute first and second differences of rows and columns have peaks at
    the multiples of 1 / factor in their spectra. Rows and columns must both show them. The grid of JPEG has the period
    8, and therefore 4 and 2 too.

    Args:
        luma: on the 0–255 scale, (H, W).

    Returns:
        2 to 7; None if no such period is found, or the photo has fewer than 48 rows or columns.

    Example:
        >>> small = np.random.default_rng(0).integers(0, 255, (40, 40)).astype(np.float32)
        >>> rows = np.repeat(np.repeat(small, 3, 0), 3, 1)
        >>> find_enlargement((rows[:-1, :-1] + rows[1:, 1:]) / 2)
        3
    """
    if min(luma.shape) < _MIN_LINES:
        return None
    peaks = {period: _find_peak(luma, period) for period in range(2, _JPEG_PERIOD + 1)}
    grid = peaks.pop(_JPEG_PERIOD)
    limit = max(_MIN_PEAK, _MIN_PEAK_SHARE * max(peaks.values()))
    found = [
        factor
        for factor, peak in peaks.items()
        if peak >= max(limit, _MIN_GRID_RATIO.get(factor, 0.0) * grid) and (factor != 4 or peak > peaks[2])
    ]
    return max(found, default=None)


def _find_peak(luma: FloatArray, period: int) -> float:
    """Return the height of the highest peak at a multiple of 1 / period: the geometric mean of rows and columns.

    Multiples that a shorter period has too do not count.
    """
    by_axis = []
    for axis in (0, 1):
        heights = [_peak_of_lines(np.abs(np.diff(luma, n=order, axis=axis)).mean(1 - axis), period) for order in (1, 2)]
        by_axis.append(max(heights))
    return float(np.sqrt(by_axis[0] * by_axis[1]))


def _peak_of_lines(steps: NDArray[np.float32], period: int) -> float:
    """Return the largest amplitude at a multiple of 1 / period, relative to the median amplitude."""
    logarithm = np.log(steps.astype(np.float64) + _FLOOR)
    detail = logarithm - median_filter(logarithm, _TREND_LINES)
    length = len(detail) // (_PERIOD_MULTIPLE * period) * (_PERIOD_MULTIPLE * period) or len(detail) // period * period
    amplitudes = np.abs(np.fft.rfft(detail[:length]))
    typical = np.median(amplitudes[len(amplitudes) // 5 :])
    places = [length * multiple // period for multiple in range(1, period // 2 + 1) if gcd(multiple, period) == 1]
    return float(amplitudes[places].max() / (typical + 1e-3))
