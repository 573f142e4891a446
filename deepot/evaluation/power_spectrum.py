"""Radial power spectra of the luma of images, and the distance of two of them."""

import math

import torch
from torch import Tensor

from deepot.evaluation.luma import luma_levels

_N_BANDS = 32
_QUANTIZATION_POWER = 1 / 12  # levels² of 255, the variance of rounding to 8 bits


def log_spectral_distance(image: Tensor, clean: Tensor) -> float:
    """Return the log-spectral distance of two images in dB (Gray & Markel 1976), of their radial power spectra.

    It is the root mean square, over bands of spatial frequency, of the difference of the spectra in dB: 0 for an image
    with as much detail of every size as the clean one, wherever that detail lies.

    Args:
        image: (1, 3, H, W) in [0, 1].
        clean: The same shape and range.
    """
    difference = radial_power_spectrum(image) - radial_power_spectrum(clean)
    return float(difference[difference.isfinite()].square().mean().sqrt())


def radial_power_spectrum(image: Tensor) -> Tensor:
    """Return the power spectrum of the luma in dB, averaged over directions, (32,), float64.

    Bands have equal widths of 1/64 cycle per pixel up to 1/2; those that an image is too small for are NaN. The luma,
    in levels of 255, less its mean, has a Hann window. 0 dB is one level² per pixel; the variance of rounding to 8 bits
    is added to every band, so that constant images have a spectrum too.

    Args:
        image: (1, 3, H, W) in [0, 1].
    """
    luma = luma_levels(image)
    height, width = luma.shape
    window = torch.outer(
        *(torch.hann_window(side + 2, periodic=False, dtype=torch.float64)[1:-1] for side in (height, width))
    )
    power = torch.fft.rfft2((luma - luma.mean()) * window).abs().square() / window.square().sum()
    rows, columns = torch.fft.fftfreq(height, dtype=torch.float64), torch.fft.rfftfreq(width, dtype=torch.float64)
    band = (torch.hypot(rows[:, None], columns[None]) * 2 * _N_BANDS).ceil().long() - 1
    is_used = (band >= 0) & (band < _N_BANDS)
    sums = torch.zeros(_N_BANDS, dtype=torch.float64).index_add_(0, band[is_used], power[is_used])
    counts = torch.bincount(band[is_used], minlength=_N_BANDS)
    return torch.where(counts > 0, 10 * (sums / counts + _QUANTIZATION_POWER).log10(), math.nan)
