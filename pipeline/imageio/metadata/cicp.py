"""Nclx: colours that AVIF, HEIF and PNG files name by numbers (ITU-T H.273) instead of a profile, as an ICC profile."""

import struct
from functools import lru_cache

import imagecodecs
import numpy as np

from deepot.errors import UnsupportedImageError

_D65 = (0.3127, 0.329)
_SRGB_PRIMARIES = (0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
_PRIMARIES = {  # x and y of red, green and blue, and of white
    1: (_SRGB_PRIMARIES, _D65),
    2: (_SRGB_PRIMARIES, _D65),  # not stated
    5: ((0.64, 0.33, 0.29, 0.6, 0.15, 0.06), _D65),
    6: ((0.63, 0.34, 0.31, 0.595, 0.155, 0.07), _D65),
    9: ((0.708, 0.292, 0.17, 0.797, 0.131, 0.046), _D65),  # BT.2020
    11: ((0.68, 0.32, 0.265, 0.69, 0.15, 0.06), (0.314, 0.351)),
    12: ((0.68, 0.32, 0.265, 0.69, 0.15, 0.06), _D65),  # Display P3
}
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
_SRGB_LIKE_TRANSFERS = (1, 2, 6, 13, 14, 15)  # those of video are decoded with the curve of sRGB, as viewers do
_CURVE_STEPS = 1024


def read_nclx_profile(data: bytes) -> bytes | None:
    """The ICC profile that stands for the first numbers of colour in a file; None for sRGB and where there are none.

    Raises:
        UnsupportedImageError: colours of high dynamic range, or ones that no profile here stands for.
    """
    offset = data.find(b"colrnclx")
    if offset < 0 or offset + 14 > len(data):
        return None
    return icc_from_cicp(*struct.unpack_from(">HH", data, offset + 8))


def icc_from_cicp(primaries: int, transfer: int) -> bytes | None:
    """The ICC profile that stands for numbers of primaries and curve; None for sRGB.

    Raises:
        UnsupportedImageError: colours of high dynamic range, or ones that no profile here stands for.
    """
    if transfer in (16, 18):
        raise UnsupportedImageError("unsupported_mode", "its colours are of high dynamic range (PQ or HLG)")
    if primaries not in _PRIMARIES or transfer not in (*_GAMMAS, *_SRGB_LIKE_TRANSFERS):
        raise UnsupportedImageError(
            "unsupported_mode", f"its colours have the primaries {primaries} and the curve {transfer} of H.273"
        )
    if primaries in (1, 2) and transfer in _SRGB_LIKE_TRANSFERS:
        return None
    return _build_icc(primaries, _GAMMAS.get(transfer))


@lru_cache(maxsize=8)
def _build_icc(primaries: int, gamma: float | None) -> bytes:
    (red_x, red_y, green_x, green_y, blue_x, blue_y), white = _PRIMARIES[primaries]
    steps = np.linspace(0, 1, _CURVE_STEPS)
    curve = np.where(steps <= 0.04045, steps / 12.92, ((steps + 0.055) / 1.055) ** 2.4)
    curve_arguments = {"transferfunction": curve.astype(np.float32)} if gamma is None else {"gamma": gamma}
    corners = (red_x, red_y, 1, green_x, green_y, 1, blue_x, blue_y, 1)
    return bytes(imagecodecs.cms_profile("rgb", whitepoint=(*white, 1), primaries=corners, **curve_arguments))
