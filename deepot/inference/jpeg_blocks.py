"""The coding of JPEG as linear algebra: pixels of some units to DCT coefficients of each component, and back.

A unit is the smallest area of complete blocks of all components (8 × 8 to 16 × 16 pixels). Units depend on nothing
outside of them: colours are converted by the matrix of JFIF in floating point, and subsampled by the mean of a box.
Products with matrices are sums in a fixed order, and matrices are literals, so that processors give the same bits.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from deepot.photo import BLOCK, JpegCoefficients, JpegComponent

Array = NDArray[np.float64]
S = TypeVar("S", np.uint8, np.bool_)

_TO_YCC = np.array(
    [[0.299, 0.587, 0.114], [-0.299 / 1.772, -0.587 / 1.772, 0.5], [0.5, -0.587 / 1.402, -0.114 / 1.402]]
)  # ITU-R BT.601, full range
_FROM_YCC = np.array(
    [[1.0, 0.0, 1.402], [1.0, -0.114 * 1.772 / 0.587, -0.299 * 1.402 / 0.587], [1.0, 1.772, 0.0]]
)  # its inverse
_LEVEL_SHIFT = 128.0
_HALF_COSINES = (
    0.5,
    0.4903926402016152,
    0.46193976625564337,
    0.4157348061512726,
    0.35355339059327373,
    0.27778511650980114,
    0.1913417161825449,
    0.09754516100806414,
)  # cos(π k / 16) / 2


def _dct_matrix() -> Array:
    frequency, position = np.mgrid[:BLOCK, :BLOCK]
    quadrant, step = np.divmod((2 * position + 1) * frequency, BLOCK)  # of the cosine's period
    quarter = np.array([*_HALF_COSINES, 0.0])
    matrix: Array = np.where(quadrant % 2 == 0, quarter[step], quarter[BLOCK - step])
    matrix *= np.where((quadrant % 4 == 0) | (quadrant % 4 == 3), 1, -1)
    matrix[0] = _HALF_COSINES[BLOCK // 2]
    return matrix


_DCT = _dct_matrix()


def _multiply(matrix: Array, values: Array) -> Array:
    """Return the product of a matrix (m, n) with values (n, …)."""
    product: Array = np.multiply.outer(matrix[:, 0], values[0])
    for column, each in zip(matrix.T[1:], values[1:], strict=True):
        product += np.multiply.outer(column, each)
    return product


def _multiply_blocks(matrix: Array, blocks: Array) -> Array:
    """Return matrix · block · matrixᵀ of each of (…, 8, 8)."""
    for _ in range(2):
        columns = np.ascontiguousarray(np.moveaxis(blocks, -1, 0))
        blocks = np.moveaxis(_multiply(matrix, columns), 0, -2)
    return blocks


def cut_units(samples: NDArray[S], unit: tuple[int, int], row: int, n_rows: int) -> NDArray[S]:
    """Return rows of units of samples (H, W, C), (n, C, *unit); the last pixels are repeated beyond the edges."""
    down, across = unit
    band = samples[row * down : (row + n_rows) * down]
    missing = -len(band) % down, -samples.shape[1] % across
    band = np.pad(band, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
    tall, wide = len(band) // down, band.shape[1] // across
    cells = band.reshape(tall, down, wide, across, -1).transpose(0, 2, 4, 1, 3)
    return np.ascontiguousarray(cells.reshape(tall * wide, -1, down, across))


def join_units(units: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """Return the samples (H, W, C) that `cut_units` has cut into units, for a width of complete units."""
    n_units, channels, down, across = units.shape
    wide = width // across
    rows = units.reshape(n_units // wide, wide, channels, down, across).transpose(0, 3, 1, 4, 2)
    return np.ascontiguousarray(rows.reshape(-1, width, channels))


def to_coefficients(units: NDArray[np.generic], coding: JpegCoefficients) -> list[Array]:
    """Return the coefficients of units (n, C, h, w) of each component, not quantised, (n, blocks, 8, 8)."""
    planes: Array = np.ascontiguousarray(units.swapaxes(0, 1), np.float64)
    if coding.is_ycc:
        planes = _multiply(_TO_YCC, planes)
        planes[0] -= _LEVEL_SHIFT
    else:
        planes -= _LEVEL_SHIFT
    return [_transform(plane, component) for plane, component in zip(planes, coding.components, strict=True)]


def to_change(coefficients: Sequence[Array], coding: JpegCoefficients) -> Array:
    """Return the change of pixels (n, C, h, w) that changes the coefficients of each component by these."""
    planes = np.stack(
        [
            _invert(values, component, coding.unit)
            for values, component in zip(coefficients, coding.components, strict=True)
        ]
    )
    return (_multiply(_FROM_YCC, planes) if coding.is_ycc else planes).swapaxes(0, 1)


def unit_coefficients(coding: JpegCoefficients, row: int, n_rows: int) -> list[Array]:
    """Return the coefficients of the file in rows of units, of each component, (n, blocks, 8, 8), dequantised.

    Blocks that lie beyond the edge of the photo, which a file need not have, are NaN.
    """
    wide = -(-coding.width // coding.unit[1])
    found = []
    for component in coding.components:
        high, broad = (side // (BLOCK * step) for side, step in zip(coding.unit, _steps(component), strict=True))
        stored = component.coefficients[row * high : (row + n_rows) * high]
        values = np.full((n_rows * high, wide * broad, BLOCK, BLOCK), np.nan)
        values[: len(stored), : stored.shape[1]] = stored[:, : wide * broad] * component.table
        blocks = values.reshape(n_rows, high, wide, broad, BLOCK, BLOCK).swapaxes(1, 2)
        found.append(blocks.reshape(n_rows * wide, high * broad, BLOCK, BLOCK))
    return found


def _steps(component: JpegComponent) -> tuple[int, int]:
    return component.down, component.across


def _transform(plane: Array, component: JpegComponent) -> Array:
    """Return the coefficients of a plane of pixels (n, h, w)."""
    n_units, height, width = plane.shape
    high, broad = height // component.down, width // component.across
    samples = plane.reshape(n_units, high, component.down, broad, component.across).mean((2, 4))
    blocks = samples.reshape(n_units, high // BLOCK, BLOCK, broad // BLOCK, BLOCK).swapaxes(2, 3)
    return _multiply_blocks(_DCT, blocks.reshape(n_units, -1, BLOCK, BLOCK))


def _invert(coefficients: Array, component: JpegComponent, unit: tuple[int, int]) -> Array:
    """Return the plane of pixels (n, h, w) that has these coefficients: samples repeated over their box."""
    high, broad = unit[0] // component.down, unit[1] // component.across
    blocks = _multiply_blocks(_DCT.T, coefficients).reshape(-1, high // BLOCK, broad // BLOCK, BLOCK, BLOCK)
    samples = blocks.swapaxes(2, 3).reshape(-1, high, broad)
    return samples.repeat(component.down, 1).repeat(component.across, 2)
