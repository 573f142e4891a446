"""Which degradation a photo shows, and how strong it is, from its samples and its JPEG tables."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from deepot.forensics.blocks import FloatArray, to_luma
from deepot.forensics.blur_width import fit_spectral_blur
from deepot.forensics.jpeg_history import JpegHistory, find_jpeg_history
from deepot.forensics.jpeg_tables import JpegCoding
from deepot.forensics.noise_level import NoiseEstimate, PhotoNoise, estimate_noise
from deepot.forensics.resampling import find_enlargement
from deepot.photo import LUMA_WEIGHTS, Pixels

MAX_DEGRADED_QUALITY = 88
"""A JPEG of a higher quality than this counts as undegraded."""

_MAX_SIDE = 1024  # of the region in the middle of a photo that is examined, in pixels
_GRID = 16  # the region starts at a multiple of this
_MIN_SIDE = 64

# The thresholds below separate the kinds on one half of the photos of benchmarks/eval_degradation_estimates.py; it
# measures on the other half.
_LUMA_SHARE = float(np.linalg.norm(LUMA_WEIGHTS))  # of luma in independent noise of the channels: 0.67
_MIN_SIGMA = 3.0  # of colour differences; clean photos have up to 1.6
_MIN_CORRELATED_SIGMA = 4.0
_MIN_WHITENESS = 0.3  # of colour differences; white noise has 0.76 and more, correlated noise up to 0.06
_MIN_LUMA_SIGMA = 4.5  # of white noise in luma alone, where texture is in the way
_MIN_LUMA_WHITENESS = 0.38
_MIN_JPEG_LUMA_SIGMA = 3.0  # the same where JPEG has taken the noise out of the colours
_MAX_LUMA_SPREAD = 4.0
_MIN_CONFIRMED_WHITENESS = 0.2  # of luma where colours show that there is noise; correlated noise has up to 0.13
_MIN_GREY_CORRELATED_SIGMA = 5.0
_MAX_GREY_CORRELATED_WHITENESS = 0.1
_MAX_GREY_CORRELATED_SPREAD = 1.6
_GREY_CORRELATED_SCALE = 1.17  # the flattest blocks have less noise than all of them
_MIN_SUBSAMPLED_SIGMA = 2.5  # of colour differences in a JPEG with subsampled colours, where clean photos have up to 1
_SUBSAMPLED_SHARE = 0.7  # of correlated noise that is left in subsampled colours
_MIN_BLUR = 0.8  # clean photos have up to 0.67
_MIN_BLUR_PER_FACTOR, _MAX_BLUR_PER_FACTOR = 0.36, 0.53  # of enlarged photos: 0.37 to 0.52
_BLUR_SCALE, _FOCUS_BLUR = 1.11, 0.35  # of Pillow's Gaussian, and the blur of photos in focus


class DegradationKind(StrEnum):
    """What happened to a photo; the first four are also names of degradations in specs."""

    NOISE = "noise"
    JPEG = "jpeg"
    BLUR = "blur"
    DOWNSCALE = "downscale"
    CORRELATED_NOISE = "correlated noise"
    NONE = "none"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Measurements:
    """What was measured in the samples of a photo.

    Attributes:
        coding: how the samples are coded, in a JPEG file.
        jpeg: an earlier JPEG compression.
        noise: noise, or the weakest texture; None if too few blocks show it.
        enlargement: the factor by which the photo was enlarged.
        blur: the spectral blur in pixels, that of the camera included; None if there is too little contrast.
    """

    coding: JpegCoding | None = None
    jpeg: JpegHistory | None = None
    noise: PhotoNoise | None = None
    enlargement: int | None = None
    blur: float | None = None


@dataclass(frozen=True)
class DegradationEstimate:
    """The main degradation of a photo.

    Attributes:
        kind: what happened to it.
        strength: σ of noise on the 0–255 scale, quality of JPEG, σ of blur in pixels, or the factor of downscaling;
            None if nothing did, or it is unknown.
        jpeg_quality: quality of the coarsest JPEG compression that was found, of any quality; None without one.
    """

    kind: DegradationKind
    strength: float | None
    jpeg_quality: int | None


def estimate_degradation(pixels: Pixels, coding: JpegCoding | None = None) -> DegradationEstimate:
    """Estimate what happened to a photo that has not been restored yet.

    At most 1024 × 1024 pixels in its middle are examined.

    Args:
        pixels: the photo.
        coding: that of the JPEG file that it comes from.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> ramp = np.tile(np.linspace(60, 190, 160)[None, :, None], (160, 1, 3))
        >>> noisy = ramp + rng.normal(0, 20, ramp.shape)
        >>> found = estimate_degradation(Pixels(np.rint(noisy).clip(0, 255).astype(np.uint8)))
        >>> found.kind.value, round(found.strength)
        ('noise', 20)
    """
    return classify(measure(pixels, coding))


def measure(pixels: Pixels, coding: JpegCoding | None = None) -> Measurements:
    """Measure what the kind and the strength are decided by; the arguments are those of `estimate_degradation`.

    Example:
        >>> measure(Pixels(np.zeros((1, 1, 3), np.uint8)))
        Measurements(coding=None, jpeg=None, noise=None, enlargement=None, blur=None)
    """
    channels = examined_region(pixels)
    if min(channels.shape[1:]) < _MIN_SIDE or channels.min() == channels.max():
        return Measurements(coding)
    luma, visible = to_luma(channels), _blacken_invisible(pixels, channels)
    return Measurements(
        coding,
        find_jpeg_history(visible, coding.quality if coding is not None else None),
        estimate_noise(visible),
        find_enlargement(luma),
        fit_spectral_blur(luma, is_jpeg=coding is not None),
    )


def examined_region(pixels: Pixels) -> FloatArray:
    """Return the middle of a photo on the 0–255 scale, (C, H, W): grey, or red, green and blue.

    Invisible pixels have colours continued from the visible ones.

    Example:
        >>> examined_region(Pixels(np.full((1100, 40, 1), 65535, np.uint16))).shape
        (1, 1024, 40)
    """
    rows, columns = (_middle(side) for side in (pixels.height, pixels.width))
    if pixels.samples.shape[2] == 4 or (pixels.alpha is not None and not pixels.alpha.all()):
        samples, scale = pixels.to_rgb8(rows, columns), 1.0
    else:
        samples, scale = pixels.samples[rows, columns], 255 / pixels.max_value
    region: FloatArray = np.ascontiguousarray(samples.transpose(2, 0, 1)).astype(np.float32) * np.float32(scale)
    return region


def _blacken_invisible(pixels: Pixels, channels: FloatArray) -> FloatArray:
    """Return the examined region with invisible pixels black, so that they count as clipped: they show no noise."""
    if pixels.alpha is None or pixels.alpha.all():
        return channels
    return channels * (pixels.alpha[_middle(pixels.height), _middle(pixels.width)] > 0)


def _middle(side: int) -> slice:
    start = max(0, (side - _MAX_SIDE) // 2) // _GRID * _GRID
    return slice(start, min(side, start + _MAX_SIDE))


def classify(found: Measurements) -> DegradationEstimate:
    """Decide which degradation the measurements show.

    White noise is looked for first, then JPEG of a quality of at most 88, correlated noise, which white noise is too
    after JPEG, enlargement and blur: what comes first would hide what follows.

    Example:
        >>> classify(Measurements(jpeg=JpegHistory(quality=30, gain=2.0, coefficients=5000)))
        DegradationEstimate(kind=<DegradationKind.JPEG: 'jpeg'>, strength=30.0, jpeg_quality=30)
    """
    file_quality = found.coding.quality if found.coding is not None else None
    earlier_quality = found.jpeg.quality if found.jpeg is not None else None
    quality = min((each for each in (file_quality, earlier_quality) if each is not None), default=None)
    kind, strength = _classify_noise(found)
    if kind is not DegradationKind.NOISE and quality is not None and quality <= MAX_DEGRADED_QUALITY:
        kind, strength = DegradationKind.JPEG, float(quality)
    if kind is None:
        kind, strength = _classify_resolution(found)
    return DegradationEstimate(kind, strength, quality)


def _classify_noise(found: Measurements) -> tuple[DegradationKind | None, float | None]:
    """Return the kind and the standard deviation of noise, or neither."""
    if found.noise is None:
        return None, None
    luma, colour = found.noise.luma, found.noise.colour
    is_subsampled = found.coding is not None and found.coding.is_chroma_subsampled
    if colour is not None and not is_subsampled:
        if colour.white_sigma >= _MIN_SIGMA and colour.whiteness >= _MIN_WHITENESS:
            return DegradationKind.NOISE, colour.white_sigma
        if colour.total_sigma >= _MIN_CORRELATED_SIGMA and colour.whiteness < _MIN_WHITENESS:
            return DegradationKind.CORRELATED_NOISE, colour.unbiased_total_sigma
    if colour is not None and is_subsampled:
        return _classify_subsampled_noise(luma, colour)
    if (
        luma.white_sigma >= _MIN_LUMA_SIGMA
        and luma.whiteness >= _MIN_LUMA_WHITENESS
        and luma.spread <= _MAX_LUMA_SPREAD
    ):
        return DegradationKind.NOISE, luma.white_sigma
    if (
        luma.total_sigma >= _MIN_GREY_CORRELATED_SIGMA
        and luma.whiteness < _MAX_GREY_CORRELATED_WHITENESS
        and luma.spread <= _MAX_GREY_CORRELATED_SPREAD
    ):
        return DegradationKind.CORRELATED_NOISE, luma.total_sigma * _GREY_CORRELATED_SCALE
    return None, None


def _classify_subsampled_noise(
    luma: NoiseEstimate, colour: NoiseEstimate
) -> tuple[DegradationKind | None, float | None]:
    """Return the kind and the standard deviation of noise in a JPEG with subsampled colours, or neither.

    Colours have no high frequencies there. Luma shows whether the noise is white, where colours show that it is noise
    or where luma alone is clear; the noise of the channels is supposed to have been independent.
    """
    has_colour_noise = colour.total_sigma >= _MIN_SUBSAMPLED_SIGMA
    is_white = luma.whiteness >= _MIN_LUMA_WHITENESS and luma.spread <= _MAX_LUMA_SPREAD
    if has_colour_noise:
        is_white = luma.whiteness >= _MIN_CONFIRMED_WHITENESS
    if is_white and luma.white_sigma >= _MIN_JPEG_LUMA_SIGMA:
        return DegradationKind.NOISE, luma.white_sigma / _LUMA_SHARE
    if has_colour_noise:
        return DegradationKind.CORRELATED_NOISE, colour.unbiased_total_sigma / _SUBSAMPLED_SHARE
    return None, None


def _classify_resolution(found: Measurements) -> tuple[DegradationKind, float | None]:
    """Return the kind and the strength of what has taken fine detail away, if anything has."""
    if found.blur is None:
        return (DegradationKind.UNKNOWN if found.noise is None else DegradationKind.NONE), None
    factor = found.enlargement
    if factor is not None and _MIN_BLUR_PER_FACTOR <= found.blur / factor <= _MAX_BLUR_PER_FACTOR:
        return DegradationKind.DOWNSCALE, float(factor)
    if found.blur < _MIN_BLUR:
        return DegradationKind.NONE, None
    return DegradationKind.BLUR, float(np.sqrt((found.blur / _BLUR_SCALE) ** 2 - _FOCUS_BLUR**2))
