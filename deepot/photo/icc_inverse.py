"""A way back for ICC profiles that only lead from samples to colours: tables from colours to samples.

Profiles of scanners, and those that phones embed when they share wide colours, have a table from samples to colours
(`A2B0`) and none for the other direction. The table that is missing is computed here by inverting theirs.
"""

import struct
from collections.abc import Callable
from functools import lru_cache

import imagecodecs
import numpy as np
from numpy.typing import NDArray

_GRID_POINTS = 33  # of the table, along each axis of CIELAB
_ITERATIONS = 30
_MAX_STEP = 0.2  # by which an iteration changes samples
_DIFFERENCE = 1 / 128  # of samples, from which derivatives are taken
_DAMPING = 1.0  # square of CIELAB units per range of samples: keeps steps short where the profile is flat
_MARGIN = 1.0  # samples from −1 to 2 are distinguished
_LAB_OFFSET = np.array([0.0, 128.0, 128.0])
_LAB_SCALE = np.array([652.8, 256.0, 256.0])  # CIELAB in the 16-bit code of lut16Type
_MAX_BLACK = 0.8  # ink of the darkest colours
_MODELS = {1: ("gray", b"GRAY"), 3: ("rgb", b"RGB "), 4: ("cmyk", b"CMYK")}
_D50 = (63190, 65536, 54061)  # XYZ in 65,536ths
_RELATIVE_COLORIMETRIC, _NO_OPTIMIZE_FLAG = 1, 0x0100  # as in deepot.photo.icc

FloatArray = NDArray[np.float64]


@lru_cache(maxsize=16)
def build_inverse_profile(profile: bytes, channels: int) -> bytes:
    """Return an ICC profile whose table leads from colours to the samples of another profile.

    Colours outside the gamut of the profile get samples outside [0, 1], by linear extrapolation; the table holds them
    as `decode_margin` reads them. The black ink of CMYK follows from lightness alone.

    Args:
        profile: a profile that littleCMS can convert samples from.
        channels: number of channels of the samples: 1 for grey, 3 for RGB, 4 for CMYK.

    Raises:
        ValueError: the profile gives colours that are not finite.
        RuntimeError: littleCMS cannot use it.
    """
    steps = np.arange(_GRID_POINTS) * (65535 / (_GRID_POINTS - 1))
    code = np.stack(np.meshgrid(*[steps] * 3, indexing="ij"), -1).reshape(-1, 3)
    samples = _invert(_forward_function(profile, channels), code / _LAB_SCALE - _LAB_OFFSET, channels)
    return _pack_profile(channels, np.rint((samples + _MARGIN) / (1 + 2 * _MARGIN) * 65535))


def decode_margin(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the samples, from −1 to 2, for values from 0 to 1 of a table that `build_inverse_profile` has made."""
    return values * np.float32(1 + 2 * _MARGIN) - np.float32(_MARGIN)


def _forward_function(profile: bytes, channels: int) -> Callable[[FloatArray], FloatArray]:
    """Return the function of a profile from samples (n, C) in [0, 1] to CIELAB (n, 3) with white point D50."""
    lab_profile, model = bytes(imagecodecs.cms_profile("lab4")), _MODELS[channels][0]

    def forward(samples: FloatArray) -> FloatArray:
        values = np.rint(samples[None] * 65535).astype(np.uint16) if channels != 3 else samples[None].astype(np.float32)
        found = imagecodecs.cms_transform(
            np.ascontiguousarray(values[:, :, 0] if channels == 1 else values),
            profile,
            lab_profile,
            colorspace=model,
            outcolorspace="lab",
            outdtype="float32",
            intent=_RELATIVE_COLORIMETRIC,
            flags=_NO_OPTIMIZE_FLAG,
        )
        lab: FloatArray = found.reshape(-1, 3).astype(np.float64)
        if not np.isfinite(lab).all():
            raise ValueError("the profile gives colours that are not finite")
        return lab

    return forward


def _invert(forward: Callable[[FloatArray], FloatArray], lab: FloatArray, channels: int) -> FloatArray:
    """Return samples (n, C) in [−1, 2] with colours closest to CIELAB (n, 3), by damped Gauss-Newton steps.

    Outside [0, 1] the function is continued linearly, with its derivatives at the border.
    """
    lightness = (lab[:, :1] / 100).clip(0, 1)
    samples = np.repeat(lightness, channels, axis=1)
    free = min(channels, 3)
    if channels == 4:
        samples = np.concatenate([np.repeat(1 - lightness, 3, axis=1), _MAX_BLACK * (1 - lightness) ** 2], axis=1)
    best, best_error = samples.copy(), np.full(len(lab), np.inf)
    for _ in range(_ITERATIONS):
        inside = samples.clip(0, 1)
        at_border = forward(inside)
        derivatives = np.empty((len(lab), 3, free))
        for channel in range(free):
            step = np.where(inside[:, channel] > 0.5, -_DIFFERENCE, _DIFFERENCE)
            moved = inside.copy()
            moved[:, channel] += step
            derivatives[:, :, channel] = (forward(moved) - at_border) / step[:, None]
        beyond = (samples - inside)[:, :free, None]
        residual = lab - at_border - (derivatives @ beyond)[:, :, 0]
        error = (residual**2).sum(1)
        better = error < best_error
        best[better], best_error[better] = samples[better], error[better]
        transposed = derivatives.swapaxes(1, 2)
        step_matrix = transposed @ derivatives + _DAMPING * np.eye(free)
        steps = np.linalg.solve(step_matrix, transposed @ residual[:, :, None])[:, :, 0]
        samples[:, :free] = (samples[:, :free] + steps.clip(-_MAX_STEP, _MAX_STEP)).clip(-_MARGIN, 1 + _MARGIN)
    return best


def _pack_profile(channels: int, table: FloatArray) -> bytes:
    """Return a profile with a table from CIELAB to samples in 16 bits, (n, C), the last axis of CIELAB fastest."""
    line = struct.pack(">2H", 0, 65535)
    lut = b"mft2" + bytes(4) + struct.pack(">4B", 3, channels, _GRID_POINTS, 0)
    lut += struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536) + struct.pack(">2H", 2, 2)
    lut += line * 3 + table.clip(0, 65535).astype(">u2").tobytes() + line * channels
    white = b"XYZ " + bytes(4) + struct.pack(">3i", *_D50)
    offset = 128 + 4 + 2 * 12
    tags = struct.pack(">I4s2I4s2I", 2, b"wtpt", offset, len(white), b"B2A0", offset + len(white), len(lut))
    size = offset + len(white) + len(lut)
    head = struct.pack(">I4xI4s4s4s12x4s", size, 0x02400000, b"prtr", _MODELS[channels][1], b"Lab ", b"acsp")
    head = head.ljust(64, b"\0") + struct.pack(">I3i", _RELATIVE_COLORIMETRIC, *_D50)
    return head.ljust(128, b"\0") + tags + white + lut
