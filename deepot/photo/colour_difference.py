"""CIEDE2000 colour differences between photos (Sharma, Wu, Dalal 2005)."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from deepot.photo.pixels import Pixels

_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.119192, 0.9503041]]
)
_WHITE = _TO_XYZ.sum(1)  # D65
_25_POW_7 = 25.0**7

_GRID_SIDE = 16  # pixels along each axis that are compared

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ColourDifference:
    """Colour difference between two versions of a photo, in ΔE00.

    Attributes:
        delta_e: mean of the differences of 256 evenly spread pixels.
        mean_colour_delta_e: difference of the mean colours of those pixels.
    """

    delta_e: float
    mean_colour_delta_e: float


def lab_grid(pixels: Pixels) -> FloatArray:
    """Return the CIELAB colours (h, w, 3) of 16 × 16 evenly spread pixels, or of all pixels along a shorter side.

    Example:
        >>> from deepot import Pixels
        >>> white = lab_grid(Pixels(np.full((50, 60, 3), 255, np.uint8)))
        >>> white.shape, [round(abs(float(value)), 3) for value in white[0, 0]]
        ((16, 16, 3), [100.0, 0.0, 0.0])
    """
    few = pixels.subsample(_GRID_SIDE)
    if few.bit_depth == 8 and few.samples.shape[2] == 3 and few.colour_space is None and few.alpha is None:
        return _linear_to_lab(_linear_of_8_bits()[few.samples])  # the same values, without a power for each
    return srgb_to_lab(few.to_rgb()[0].permute(1, 2, 0).numpy())


def compare_lab_grids(first: FloatArray, second: FloatArray) -> ColourDifference:
    """Return the colour difference between two grids of `lab_grid`.

    The photos may differ in size if one is an enlargement of the other.

    Example:
        >>> from deepot import Pixels
        >>> grey, lighter = (lab_grid(Pixels(np.full((50, 60, 3), value, np.uint8))) for value in (128, 133))
        >>> round(compare_lab_grids(grey, lighter).delta_e, 1)
        1.9
    """
    if first.shape != second.shape:
        side_pairs = zip(second.shape[:2], first.shape[:2], strict=True)
        rows, columns = (np.linspace(0, side - 1, other).round().astype(int) for side, other in side_pairs)
        second = second[np.ix_(rows, columns)]
    pairs = [np.concatenate([x.reshape(-1, 3), x.mean((0, 1))[None]]) for x in (first, second)]
    values = ciede2000(*pairs)
    return ColourDifference(float(values[:-1].mean()), float(values[-1]))


def srgb_to_lab(rgb: NDArray[np.floating]) -> FloatArray:
    """Convert sRGB (…, 3) in [0, 1] to CIELAB with white point D65."""
    return _linear_to_lab(_to_linear(np.asarray(rgb, dtype=np.float64)))


def _to_linear(values: FloatArray) -> FloatArray:
    """Return the linear light of sRGB values."""
    return np.where(values <= 0.04045, values / 12.92, ((values.clip(0) + 0.055) / 1.055) ** 2.4)


@cache
def _linear_of_8_bits() -> FloatArray:
    """Return the linear light of the 256 sRGB values of 8 bits."""
    return _to_linear((np.arange(256, dtype=np.float32) / 255).astype(np.float64))


def _linear_to_lab(linear: FloatArray) -> FloatArray:
    relative = linear @ _TO_XYZ.T / _WHITE
    root = np.where(relative > (6 / 29) ** 3, np.cbrt(relative), relative / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = root[..., 0], root[..., 1], root[..., 2]
    lab = np.empty(root.shape)
    lab[..., 0], lab[..., 1], lab[..., 2] = 116 * y - 16, 500 * (x - y), 200 * (y - z)
    return lab


def ciede2000(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return ΔE00 between CIELAB colours (…, 3); a difference of about 1 is just visible side by side."""
    (l1, a1, b1), (l2, a2, b2) = (np.moveaxis(colours, -1, 0) for colours in (first, second))
    chroma7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    stretch = 1.5 - 0.5 * np.sqrt(chroma7 / (chroma7 + _25_POW_7))
    c1, c2 = np.hypot(stretch * a1, b1), np.hypot(stretch * a2, b2)
    h1, h2 = np.arctan2(b1, stretch * a1), np.arctan2(b2, stretch * a2)
    grey = c1 * c2 == 0
    turn = np.where(grey, 0, (h2 - h1 + np.pi) % (2 * np.pi) - np.pi)
    light, chroma, hue = (l1 + l2) / 2, (c1 + c2) / 2, np.where(grey, h1 + h2, h1 + turn / 2)
    d_chroma, d_hue = c2 - c1, 2 * np.sqrt(c1 * c2) * np.sin(turn / 2)
    t = (
        1
        - 0.17 * np.cos(hue - np.radians(30))
        + 0.24 * np.cos(2 * hue)
        + 0.32 * np.cos(3 * hue + np.radians(6))
        - 0.2 * np.cos(4 * hue - np.radians(63))
    )
    dark = (light - 50) ** 2
    s_light = 1 + 0.015 * dark / np.sqrt(20 + dark)
    s_chroma, s_hue = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    around_blue = np.exp(-((((np.degrees(hue) % 360) - 275) / 25) ** 2))
    rotation = -2 * np.sqrt(chroma**7 / (chroma**7 + _25_POW_7)) * np.sin(np.radians(60) * around_blue)
    dl, dc, dh = (l2 - l1) / s_light, d_chroma / s_chroma, d_hue / s_hue
    result: FloatArray = np.sqrt((dl**2 + dc**2 + dh**2 + rotation * dc * dh).clip(0))
    return result
