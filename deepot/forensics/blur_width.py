"""The blur of a photo, from how its spectrum falls below the power law of natural photos."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepot.forensics.blocks import FloatArray

_WINDOW = 256  # side of the windows whose spectra are averaged, in pixels
_MIN_WINDOW = 64
_WINDOWS_PER_SIDE = 3
_RING = 0.01  # width of the rings of frequencies, in cycles per pixel
_LOWEST, _HIGHEST = 0.02, 0.45
_NOISE_FLOOR = 0.15  # power of rounding to 8 bits, with some margin
_JPEG_FLOOR_FREQUENCY = 0.4  # above it, what JPEG has left of a photo is taken for noise
_MIN_SIGNAL = 4.0  # rings of less power than this many noise floors are left out, and all beyond the first one
_MIN_RINGS = 5
_EXPONENT = 2.2  # of the power of natural photos over frequency, and the weight of that in the fit, in rings
_EXPONENT_WEIGHT = 1.0


def fit_spectral_blur(luma: FloatArray, *, is_jpeg: bool = False) -> float | None:
    """Fit the standard deviation of a Gaussian blur to the radial power spectrum of a photo.

    Natural photos have a power close to f^−2 (Field, "Relations between the statistics of natural images and the
    response properties of cortical cells", 1987); a Gaussian of σ pixels multiplies it by exp(−4 π² σ² f²). The
    logarithm of the power is linear in both unknown exponents, which are fitted where it is above that of rounding, or
    of JPEG's quantisation.

    Args:
        luma: on the 0–255 scale, (H, W).
        is_jpeg: whether the samples come from a JPEG file.

    Returns:
        σ in pixels: about 0.4 for photos in focus, negative if the power falls more slowly than the power law; None if
        the photo is smaller than 64 pixels a side, or has too little contrast.
    """
    side = min(_WINDOW, *luma.shape)
    if side < _MIN_WINDOW:
        return None
    frequency, power = _radial_spectrum(luma, side)
    floor = _NOISE_FLOOR
    if is_jpeg:
        floor = max(floor, float(np.median(power[frequency > _JPEG_FLOOR_FREQUENCY])))
    weak = np.flatnonzero(power < _MIN_SIGNAL * floor)
    n_rings = int(weak[0]) if len(weak) else len(power)
    if n_rings < _MIN_RINGS:
        return None
    f, logarithm = frequency[:n_rings], np.log(power[:n_rings] - floor)
    design = np.column_stack([np.ones(n_rings), -np.log(f), -4 * np.pi**2 * f**2])
    design = np.vstack([design, [0, _EXPONENT_WEIGHT, 0]])
    solution = np.linalg.lstsq(design, np.append(logarithm, _EXPONENT_WEIGHT * _EXPONENT), rcond=None)[0]
    variance = float(solution[2])
    return float(np.copysign(np.sqrt(abs(variance)), variance))


def _radial_spectrum(luma: FloatArray, side: int) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return frequencies and the mean power of the rings around them, over up to 3 × 3 windows."""
    taper = np.outer(np.hanning(side), np.hanning(side))
    starts = [np.unique(np.linspace(0, length - side, _WINDOWS_PER_SIDE).astype(int)) for length in luma.shape]
    windows = [luma[row : row + side, column : column + side] for row in starts[0] for column in starts[1]]
    spectra = [np.abs(np.fft.rfft2((window - window.mean()) * taper)) ** 2 for window in windows]
    power = np.mean(spectra, axis=0) / (taper**2).sum()
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    ring = np.floor((frequency - _LOWEST) / _RING).astype(int)
    n_rings = round((_HIGHEST - _LOWEST) / _RING)
    inside = (ring >= 0) & (ring < n_rings)
    counts = np.bincount(ring[inside], minlength=n_rings)
    sums = np.bincount(ring[inside], weights=power[inside], minlength=n_rings)
    centres = _LOWEST + (np.arange(n_rings) + 0.5) * _RING
    return centres[counts > 0], sums[counts > 0] / counts[counts > 0]
