"""The constraint of a JPEG file: every coefficient of a result lies in the interval that the file states for it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepot.inference.consistency import Contradictions
from deepot.inference.jpeg_blocks import Array, cut_units, join_units, to_change, to_coefficients, unit_coefficients
from deepot.photo import ConstantAreas, JpegCoefficients, Pixels

_BAND_PIXELS = 2**18  # pixels projected at a time, for temporary arrays of 6 MB each
_ROUNDS = 8  # of projection and rounding
_STRENGTHS = (1.0, 0.5, 0.25)  # of the change of a unit, each tried in turn; after them the unit is that of x*
_MARGIN = 0.75  # of a coefficient, four standard deviations of what rounding to 8 bits changes
_MAX_RELATIVE_MARGIN = 0.25  # of a quantisation step
_TOLERANCE = 1e-6  # of a coefficient, for the last bits of sums in another order
_Samples = NDArray[np.uint8]


class _Bounds(NamedTuple):
    """Intervals of the coefficients of one component, (n, blocks, 8, 8) each.

    Attributes:
        low: The least value that does not contradict the file, or that of x* if it lies below.
        high: The greatest value, likewise.
        margin: How far inside of the interval a projected value lies.
        base: The value of x*.
        step: The step with which the result is quantised when it is written; 0 if it is not.
    """

    low: Array
    high: Array
    margin: Array
    base: Array
    step: Array

    def outside(self, values: Array) -> NDArray[np.bool_]:
        """Return which values lie outside."""
        return (values < self.low - _TOLERANCE) | (values > self.high + _TOLERANCE)

    def move_inside(self, values: Array) -> Array:
        """Return what has to be added to values that lie outside once they are written; 0 for the others."""
        base = self._quantize(self.base)
        inner_low, inner_high = np.minimum(self.low + self.margin, base), np.maximum(self.high - self.margin, base)
        if not self.step.any():
            wrong = self.outside(values)
        else:
            written = self._quantize(values)
            wrong = (written < inner_low - _TOLERANCE) | (written > inner_high + _TOLERANCE)
            inner_low = np.minimum(self._quantize(inner_low, np.ceil), base)
            inner_high = np.maximum(self._quantize(inner_high, np.floor), base)
        return np.where(wrong, values.clip(inner_low, inner_high) - values, 0.0)

    def _quantize(self, values: Array, rounding: Callable[[Array], Array] = np.rint) -> Array:
        """Return the multiples of the step that values are written as; the values themselves where it is 0."""
        step = np.where(self.step > 0, self.step, 1)
        return np.where(self.step > 0, rounding(values / step) * step, values)

    def select(self, units: NDArray[Any]) -> "_Bounds":
        """Return the intervals of some of the units."""
        return _Bounds(*(values[units] for values in self))


@dataclass(frozen=True)
class _Band:
    """Rows of units of a photo.

    Attributes:
        coding: The file.
        row: The first row of units.
        restored: x*, (n, C, h, w).
    """

    coding: JpegCoefficients
    row: int
    restored: _Samples

    @property
    def n_rows(self) -> int:
        """The number of rows of units."""
        return len(self.restored) // -(-self.coding.width // self.coding.unit[1])

    def bounds(self) -> list[_Bounds]:
        """Return the intervals of each component; blocks that the file does not have may be anything."""
        found = []
        base = to_coefficients(self.restored, self.coding)
        stored = unit_coefficients(self.coding, self.row, self.n_rows)
        for component, values, centre in zip(self.coding.components, base, stored, strict=True):
            low, high = (
                np.where(np.isnan(centre), side * np.inf, centre + side * component.table / 2) for side in (-1, 1)
            )
            margin = np.broadcast_to(np.minimum(_MARGIN, component.table * _MAX_RELATIVE_MARGIN), values.shape)
            table = np.zeros_like(component.table) if component.result_table is None else component.result_table
            step = np.broadcast_to(table.astype(np.float64), values.shape)
            found.append(_Bounds(np.minimum(low, values), np.maximum(high, values), margin, values, step))
        return found

    def repeat_edges(self, units: _Samples, numbers: NDArray[np.int64]) -> None:
        """Repeat the last pixels of the photo beyond its edges, in place, in units of these numbers in the band."""
        down, across = self.coding.unit
        wide = -(-self.coding.width // across)
        rows, columns = (
            self.coding.height - (self.row + numbers // wide) * down,
            self.coding.width - numbers % wide * across,
        )
        for number in np.flatnonzero((rows < down) | (columns < across)):
            if (height := rows[number]) < down:
                units[number, :, height:] = units[number, :, height - 1 : height]
            if (width := columns[number]) < across:
                units[number, :, :, width:] = units[number, :, :, width - 1 : width]

    def project(self, result: _Samples, free: NDArray[np.bool_] | None) -> _Samples:
        """Return units of a result (n, C, h, w) without contradictions; only pixels that are free change."""
        projected, bounds = result.copy(), self.bounds()
        numbers = np.flatnonzero((result != self.restored).any((1, 2, 3)))
        for strength in _STRENGTHS:
            if not len(numbers):
                return projected
            restored = self.restored[numbers].astype(np.float64)
            state = restored + strength * (result[numbers] - restored)
            numbers = self._iterate(projected, numbers, state, bounds, free)
        projected[numbers] = self.restored[numbers]
        return projected

    def _iterate(
        self,
        projected: _Samples,
        numbers: NDArray[np.int64],
        state: Array,
        bounds: list[_Bounds],
        free: NDArray[np.bool_] | None,
    ) -> NDArray[np.int64]:
        """Move units towards their intervals, and round them; returns the numbers of those that still contradict."""
        for _ in range(_ROUNDS):
            rounded = np.rint(state).astype(np.uint8)
            self.repeat_edges(rounded, numbers)
            projected[numbers] = rounded
            chosen = [each.select(numbers) for each in bounds]
            values = to_coefficients(rounded, self.coding)
            steps = [each.move_inside(found) for each, found in zip(chosen, values, strict=True)]
            wrong = np.any([step.any((1, 2, 3)) for step in steps], axis=0)
            numbers, steps = numbers[wrong], [step[wrong] for step in steps]
            if not len(numbers):
                break
            change = to_change(steps, self.coding)
            if free is not None:
                change *= free[numbers]
            state = (state[wrong] + change).clip(0, 255)
        return numbers


@dataclass(frozen=True)
class JpegConstraint:
    """Every coefficient of x̂, quantised with the tables of the file, is that of the file.

    The samples of x* have been rounded and clipped, and their colours interpolated, so that some of its own
    coefficients may lie outside: these may stay where they are.

    Attributes:
        coding: The coefficients of the file.
        restored: The samples of x*, as the file is decoded, (H, W, C), uint8.

    Example:
        >>> from deepot.photo import JpegComponent
        >>> grey = JpegComponent(np.zeros((1, 1, 8, 8), np.int16), np.full((8, 8), 40))
        >>> coding = JpegCoefficients(8, 8, (grey,), is_ycc=False)
        >>> constraint = JpegConstraint(coding, np.full((8, 8, 1), 128, np.uint8))
        >>> result = Pixels(np.full((8, 8, 1), 150, np.uint8))  # 22 · 8 is more than half of a step of 40
        >>> constraint.count(result).outside
        1
        >>> constraint.project(result)
        >>> constraint.count(result).outside, int(result.samples.max())
        (0, 130)
    """

    NAME: ClassVar = "jpeg"
    """The name in the manifest."""

    coding: JpegCoefficients
    restored: _Samples

    @property
    def name(self) -> str:
        """The name in the manifest."""
        return self.NAME

    def project(self, pixels: Pixels, areas: ConstantAreas | None = None) -> None:
        """Change samples of a result in place until none of its coefficients contradicts the file.

        In each unit the coefficients that lie outside are moved inside, and its pixels are rounded, until all lie
        inside. If they never do, as with steps of 1 or 2, which are finer than rounding, the change of this unit is
        halved, halved again, and at last left out. If the result is quantised when it is written, the written values
        lie inside.
        """
        height, width = self.coding.height, self.coding.width
        for band, rows, result in self._bands(pixels):
            free = None
            if areas is not None:
                mask = areas.mask(rows, slice(0, width))
                free = cut_units(~mask[:, :, None], self.coding.unit, 0, band.n_rows)
            projected = join_units(band.project(result, free), -(-width // self.coding.unit[1]) * self.coding.unit[1])
            pixels.samples[rows] = projected[: min(rows.stop, height) - rows.start, :width]

    def count(self, pixels: Pixels) -> Contradictions:
        """Count the coefficients of a result that lie outside, and farther outside than those of x*."""
        outside = 0
        for band, _, result in self._bands(pixels):
            values = to_coefficients(result, self.coding)
            outside += sum(int(each.outside(found).sum()) for each, found in zip(band.bounds(), values, strict=True))
        return Contradictions(outside, self.coding.count)

    def _bands(self, pixels: Pixels) -> Iterator[tuple[_Band, slice, _Samples]]:
        """Yield bands with their rows of pixels and the units of a result."""
        down, _ = self.coding.unit
        n_rows = max(1, _BAND_PIXELS // (down * self.coding.width))
        for row in range(0, -(-self.coding.height // down), n_rows):
            rows = slice(row * down, min((row + n_rows) * down, self.coding.height))
            restored, result = (
                cut_units(each, self.coding.unit, row, n_rows) for each in (self.restored, pixels.samples)
            )
            yield _Band(self.coding, row, restored), rows, result
