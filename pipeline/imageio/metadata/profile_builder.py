"""ICC profiles for colours that files state by numbers."""

import struct
from functools import lru_cache
from typing import Any

import imagecodecs
import numpy as np

D65 = (0.3127, 0.329)
"""x and y of the white of sRGB."""
SRGB_PRIMARIES = (0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
"""x and y of red, green and blue of sRGB."""
_CURVE_STEPS = 1024
_DATE_FIELD = slice(24, 36)  # of the header of a profile
_FIXED_DATE = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # a profile with the time of its making would differ every time


@lru_cache(maxsize=8)
def build_rgb_profile(primaries: tuple[float, ...], white: tuple[float, float], gamma: float | None) -> bytes:
    """Return a profile of three primaries and one transfer function.

    Args:
        primaries: x and y of red, green and blue (CIE 1931).
        white: x and y of white.
        gamma: the exponent that decodes samples; None is the transfer function of sRGB.

    Raises:
        ValueError: no profile has such colours.
    """
    corners = tuple(value for start in (0, 2, 4) for value in (*primaries[start : start + 2], 1))
    return _build("rgb", whitepoint=(*white, 1), primaries=corners, **_curve_arguments(gamma))


@lru_cache(maxsize=8)
def build_grey_profile(gamma: float | None) -> bytes:
    """Return a profile of grey with a transfer function: see `build_rgb_profile`."""
    return _build("gray", whitepoint=(*D65, 1), **_curve_arguments(gamma))


def _curve_arguments(gamma: float | None) -> dict[str, Any]:
    if gamma is not None:
        return {"gamma": gamma}
    steps = np.linspace(0, 1, _CURVE_STEPS)
    curve = np.where(steps <= 0.04045, steps / 12.92, ((steps + 0.055) / 1.055) ** 2.4)
    return {"transferfunction": curve.astype(np.float32)}


def _build(kind: str, **arguments: Any) -> bytes:  # noqa: ANN401 — of imagecodecs
    try:
        profile = bytearray(imagecodecs.cms_profile(kind, **arguments))
    except imagecodecs.CmsError as error:
        raise ValueError(f"no ICC profile has such colours: {error}") from error
    profile[_DATE_FIELD] = _FIXED_DATE
    return bytes(profile)
