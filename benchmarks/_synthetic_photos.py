"""Synthetic photos whose detail is about as strong as that of real ones."""

import numpy as np
from numpy.typing import NDArray

_STRENGTHS = (45.0, 6.0, 6.0)  # standard deviations in levels, of luma and of two differences of colours
_FALL = 1.4  # power of the frequency


def make_photo(generator: np.random.Generator, width: int, height: int) -> NDArray[np.float64]:
    """Return noise (height, width, 3) in levels whose amplitudes fall with the frequency as those of photos do.

    Levels may lie outside [0, 255]. The JPEG of 640 × 480 pixels of it that a report has takes 0.2 MB as a data URI;
    of Kodak photos it takes 0.11 to 0.24.
    """
    frequencies = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]) + 1 / width
    planes = []
    for strength in _STRENGTHS:
        spectrum = np.fft.rfft2(generator.normal(size=(height, width))) / frequencies**_FALL
        plane = np.fft.irfft2(spectrum, (height, width))
        planes.append(strength * plane / plane.std())
    luma, red, blue = planes
    return 128 + np.stack([luma + red, luma, luma + blue], axis=2)
