"""Whether a photo was JPEG before it was stored as it is, and of which quality, from its samples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

from deepot.forensics.blocks import FloatArray, find_clipped, split_into_blocks, to_luma
from deepot.forensics.jpeg_tables import MIN_QUALITY, scale_luma_table

_SIDE = 8  # of JPEG's blocks
_MAX_BLOCKS = 3000
_MIN_BLOCKS = 50  # free of clipping; with fewer, all blocks are used
_MAX_FREQUENCY = 5  # sum of the vertical and the horizontal index, beyond which few coefficients are not zero
_MAX_QUALITY = 95
_ROUNDING_ERROR = 0.45  # standard deviation of a coefficient of luma from RGB samples that were rounded to 8 bits
_MIN_STEP_ERRORS = 6.7  # a step of fewer standard deviations leaves no gaps between its multiples
_OUTLIERS = 0.05  # share of coefficients that a later change may have moved anywhere
_MIN_COEFFICIENTS = 100
_MIN_GAIN = 0.4  # mean log-likelihood ratio of a coefficient; 0 or less where nothing was quantised, 1 to 3 otherwise
_QUALITY_MARGIN = 3  # a table that is this close to that of the file is the file's own


@dataclass(frozen=True)
class JpegHistory:
    """A JPEG compression that a photo went through.

    Attributes:
        quality: quality of libjpeg, 1 to 95.
        gain: mean log-likelihood ratio of a coefficient, quantised against not quantised.
        coefficients: how many coefficients that is the mean of.
    """

    quality: int
    gain: float
    coefficients: int


def find_jpeg_history(channels: FloatArray, file_quality: int | None = None) -> JpegHistory | None:
    """Find the quantisation of an earlier JPEG compression in the block DCT of luma.

    Coefficients of quantised blocks lie at multiples of their steps (Fan, de Queiroz, "Identification of bitmap
    compression history: JPEG detection and quantizer estimation", 2003). For every quality, those of at least half a
    step are compared with a comb of normal distributions at the multiples of its steps, against a smooth density; the
    quality with the largest log-likelihood ratio is returned.

    Args:
        channels: samples on the 0–255 scale, (C, H, W): grey, or red, green and blue.
        file_quality: quality of the JPEG file that the samples come from; its own quantisation is not reported, and
            blurs that of an earlier one.

    Returns:
        The compression; None if there was none, or too little is left of it.
    """
    luma = to_luma(channels)
    if min(luma.shape) < 2 * _SIDE:
        return None
    clipped = find_clipped(channels)
    found = [
        history
        for offset in {(0, 0), _find_grid(luma)}
        if (history := _fit_quality(_select_coefficients(luma, clipped, offset), file_quality)) is not None
    ]
    return max(found, key=lambda history: history.gain * history.coefficients, default=None)


def _fit_quality(coefficients: FloatArray, file_quality: int | None) -> JpegHistory | None:
    """Return the quality whose steps the coefficients (n, 8, 8) are multiples of."""
    index = np.add.outer(np.arange(_SIDE), np.arange(_SIDE))
    used = (index > 0) & (index <= _MAX_FREQUENCY)
    values = coefficients[:, used]
    variance = np.full(values.shape[1], _ROUNDING_ERROR**2)
    if file_quality is not None:
        variance = variance + scale_luma_table(file_quality)[used] ** 2 / 12
    error = np.sqrt(variance).astype(np.float32)
    limit = _MAX_QUALITY if file_quality is None else min(_MAX_QUALITY, file_quality - _QUALITY_MARGIN)
    best = None
    for quality in range(MIN_QUALITY, limit + 1):
        steps = scale_luma_table(quality)[used].astype(np.float32)
        gains = _comb_gains(values, steps, error)
        if len(gains) >= _MIN_COEFFICIENTS and (best is None or gains.sum() > best.gain * best.coefficients):
            best = JpegHistory(quality, float(gains.mean()), len(gains))
    return best if best is not None and best.gain >= _MIN_GAIN else None


def _comb_gains(values: FloatArray, steps: FloatArray, error: FloatArray) -> FloatArray:
    """Return the log-likelihood ratios of the coefficients of half a step and more; values (n, k), the others (k)."""
    selected = (np.abs(values) >= steps / 2) & (steps > _MIN_STEP_ERRORS * error)
    rows, columns = np.nonzero(selected)
    chosen, step, sigma = values[rows, columns], steps[columns], error[columns]
    distance = (chosen - np.rint(chosen / step) * step) / sigma
    density = step / (sigma * np.float32(np.sqrt(2 * np.pi))) * np.exp(-(distance**2) / 2)
    gains: FloatArray = np.log(_OUTLIERS + (1 - _OUTLIERS) * density)
    return gains


def _select_coefficients(luma: FloatArray, clipped: NDArray[np.bool_], offset: Sequence[int]) -> FloatArray:
    """Return the DCT coefficients (n, 8, 8) of blocks whose grid starts at an offset, without clipped ones."""
    top, left = offset
    blocks = split_into_blocks(luma[top:, left:], _SIDE)
    usable = ~split_into_blocks(clipped[top:, left:], _SIDE).any((1, 2))
    if np.count_nonzero(usable) >= _MIN_BLOCKS:
        blocks = blocks[usable]
    step = max(1, -(-len(blocks) // _MAX_BLOCKS))
    coefficients: FloatArray = dctn(blocks[::step] - 128, axes=(1, 2), norm="ortho")
    return coefficients


def _find_grid(luma: FloatArray) -> tuple[int, int]:
    """Return the row and the column at which the blocks begin, by the steps of luma at their borders."""
    return _find_phase(luma), _find_phase(luma.T)


def _find_phase(luma: FloatArray) -> int:
    steps = np.abs(np.diff(luma, axis=0)).mean(1)
    excess = steps[1:-1] - (steps[:-2] + steps[2:]) / 2
    means = [excess[phase::_SIDE].mean() for phase in range(_SIDE)]
    return (int(np.argmax(means)) + 2) % _SIDE
