"""The noise of a photo, white or not, from the spectrum of its least textured blocks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

from deepot.forensics.blocks import WHITE, FloatArray, find_clipped, split_into_blocks
from deepot.photo import LUMA_WEIGHTS

_SIDE = 16
_MIN_BLOCKS = 24
_FLAT_SHARE = 0.1
_MAX_CLIPPED = 0.02  # share of clipped pixels, above which the variance of a block is too small
_MARGIN_SIGMAS = 2.5  # distance of a block's mean from black and white, in standard deviations of the noise
_SPREAD_QUANTILES = (0.01, 0.15)
_SPREAD_DEVIATIONS = 1.29  # standard deviations of a normal distribution between these quantiles
_FLAT_DEVIATIONS = 1.755  # by which the lowest tenth of a normal distribution is below its mean
_MAX_ENERGY_DEVIATION = 0.3  # relative standard deviation of the blocks' energy; a larger one comes from texture
_RAMP_LOSS = 1.05  # for what is lost at the frequencies of ramps
_FREQUENCY: NDArray[np.float64] = np.hypot(*np.mgrid[:_SIDE, :_SIDE]) / (2 * _SIDE)  # cycles per pixel
_HIGH = _FREQUENCY > 0.36
_MEDIUM = (_FREQUENCY > 0.09) & (_FREQUENCY < 0.2)
_ABOVE_RAMPS = _FREQUENCY >= 0.05


@dataclass(frozen=True)
class NoiseEstimate:
    """What varies in the flattest blocks of luma, or of colour differences: noise, or the weakest texture.

    Attributes:
        white_sigma: standard deviation on the 0–255 scale of white noise with the power found at high frequencies.
        total_sigma: standard deviation on the 0–255 scale at all frequencies above those of ramps.
        whiteness: power at high frequencies relative to that at medium ones: about 1 for white noise.
        spread: energy of the 15 % quantile of all blocks relative to the 1 % quantile: close to 1 if most blocks have
            the same energy, as with noise.
    """

    white_sigma: float
    total_sigma: float
    whiteness: float
    spread: float

    @property
    def unbiased_total_sigma(self) -> float:
        """The total standard deviation in all blocks, if most of them have nothing but noise.

        The flattest tenth of the blocks have less energy by chance: 1.75 standard deviations of a normal distribution,
        whose quantiles of 1 % and 15 %, as far apart as `spread`, give the standard deviation.
        """
        deviation = min(float(np.log(self.spread)) / _SPREAD_DEVIATIONS, _MAX_ENERGY_DEVIATION)
        return self.total_sigma * _RAMP_LOSS / float(np.sqrt(1 - _FLAT_DEVIATIONS * deviation))


@dataclass(frozen=True)
class PhotoNoise:
    """The noise of a photo.

    Attributes:
        luma: that of luma, or of grey. Where the channels have independent noise of σ, luma has 0.67 σ.
        colour: that of red − green and blue − green, divided by √2: σ where the channels have independent noise of σ.
            Texture, which varies in all channels alike, is hardly seen here. None for grey photos.
    """

    luma: NoiseEstimate
    colour: NoiseEstimate | None


def estimate_noise(channels: FloatArray) -> PhotoNoise | None:
    """Estimate the noise of a photo from the tenth of its blocks of 16 × 16 pixels with the least energy.

    The weakest textures of a photo show its noise (Liu, Tanaka, Okutomi, "Single-image noise level estimation for
    blind denoising", 2013). Blocks are compared in the DCT domain (Ponomarenko, Lukin, Zriakhov, Kaarna, Astola, "An
    automatic approach to lossy compression of AVIRIS images", 2007): those with the least energy at medium frequencies
    give the power at high ones, which therefore has no bias from the selection.

    Args:
        channels: samples on the 0–255 scale, (C, H, W).

    Returns:
        The estimates; None if there are fewer than 24 blocks, or nothing varies.
    """
    clipped = split_into_blocks(find_clipped(channels), _SIDE).mean((1, 2))
    if len(clipped) < _MIN_BLOCKS:
        return None
    spectra = [dctn(split_into_blocks(channel, _SIDE), axes=(1, 2), norm="ortho") for channel in channels]
    means = np.stack([spectrum[:, 0, 0] / _SIDE for spectrum in spectra])
    if len(spectra) == 1:
        luma, differences = spectra[0] ** 2, None
    else:
        red, green, blue = spectra
        luma = sum(weight * spectrum for weight, spectrum in zip(LUMA_WEIGHTS, spectra, strict=True)) ** 2
        differences = ((red - green) ** 2 + (blue - green) ** 2) / 4
    first = _estimate(luma, clipped, means, 0.0)
    if first is None:
        return None
    colour = None if differences is None else _estimate(differences, clipped, means, 0.0)
    sigma = max(first.total_sigma, colour.total_sigma if colour else 0.0)
    luma_noise = _estimate(luma, clipped, means, sigma) or first
    return PhotoNoise(luma_noise, None if differences is None else _estimate(differences, clipped, means, sigma))


def _estimate(power: FloatArray, clipped: NDArray[np.float64], means: FloatArray, sigma: float) -> NoiseEstimate | None:
    """Estimate from the squared spectra (n, 16, 16) of the blocks that are the least clipped.

    Args:
        power: squared spectra.
        clipped: share of clipped pixels of each block.
        means: mean of each channel in each block, (C, n).
        sigma: standard deviation of the noise; blocks whose means are close to black or white are left out.

    Returns:
        The estimate; None if nothing varies.
    """
    varies = power[:, _ABOVE_RAMPS].sum(1) > 0
    margin = _MARGIN_SIGMAS * sigma
    far = (means.min(0) >= margin) & (means.max(0) <= WHITE - margin)
    for usable in (
        varies & far & (clipped <= _MAX_CLIPPED),
        varies & (clipped <= _MAX_CLIPPED),
        varies & (clipped <= np.quantile(clipped, _FLAT_SHARE)),
        varies,
    ):
        if np.count_nonzero(usable) >= _MIN_BLOCKS:
            return _estimate_usable(power[usable])
    return None


def _estimate_usable(power: FloatArray) -> NoiseEstimate:
    n_flat = max(_MIN_BLOCKS, int(len(power) * _FLAT_SHARE))
    total = power[:, _ABOVE_RAMPS].mean(1)
    smooth = np.argsort(power[:, _MEDIUM].mean(1))[:n_flat]
    spectrum = power[np.argsort(total)[:n_flat]].mean(0)
    low, high = np.quantile(total, _SPREAD_QUANTILES)
    tiny = np.finfo(np.float32).tiny
    return NoiseEstimate(
        float(np.sqrt(power[smooth][:, _HIGH].mean())),
        float(np.sqrt(spectrum[_ABOVE_RAMPS].mean())),
        float(spectrum[_HIGH].mean() / max(spectrum[_MEDIUM].mean(), tiny)),
        float(high / max(low, tiny)),
    )
