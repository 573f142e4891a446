"""The constraint of enlarged photos: made small again, a result is the photo that was enlarged, within rounding."""

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepot.inference.consistency import Contradictions
from deepot.photo import ConstantAreas, Pixels

FloatArray = NDArray[np.float32]

_TOLERANCE = 1  # in levels: Pillow rounds after each of its two passes
_WINDOW, _HALO = 64, 10  # in pixels of the small photo: what is corrected at a time, and what is looked at around it
_ROUNDS, _STEPS = 16, 6  # corrections of a window at most, and steps of conjugate gradients in each
_CLOSE_ENOUGH = 0.5  # in levels, below which a difference is rounding
_STEPS_PER_LEVEL = 4096  # of inner products
_MIN_ENERGY = 1e-6  # mean square in levels at which the conjugate gradients stop


class ReductionConstraint:
    """What a bicubic reduction states of the large photo: its result, the small photo y that the restorer enlarged.

    A result r may be any photo with D(r) = y, D being the reduction of the degradation `downscale`. The nearest one to
    a result x̂ is x̂ + D⁺(y − D(x̂)), with the pseudoinverse D⁺ = Dᵀ(DDᵀ)⁻¹ (back-projection; Irani and Peleg 1991). DDᵀ
    is inverted by conjugate gradients, in windows that overlap. Samples that are clipped do not move, and rounding
    moves others, so that corrections are repeated where the 8-bit reduction by Pillow is not yet y.

    The restored photo itself need not have this property: restorers do not guarantee it.

    Example:
        >>> small = np.full((6, 8, 3), 100, np.uint8)
        >>> result = Pixels(np.full((12, 16, 3), 104, np.uint8))
        >>> constraint = ReductionConstraint(small, 2, result.samples)
        >>> constraint.count(result)
        Contradictions(outside=144, total=144)
        >>> constraint.project(result)
        >>> constraint.count(result), int(result.samples.max())
        (Contradictions(outside=0, total=144), 100)
    """

    NAME: ClassVar = "reduction"

    def __init__(self, reduced: NDArray[np.uint8], factor: int, restored: NDArray[Any]) -> None:
        """Remember the small photo.

        Args:
            reduced: The samples of y, (h, w, C), 8 bits.
            factor: How many times larger the result is along each axis.
            restored: The samples of x*, (h · factor, w · factor, C).

        Raises:
            ValueError: x* has another size, other channels, or more than 8 bits.
        """
        height, width, channels = reduced.shape
        if restored.shape != (height * factor, width * factor, channels) or restored.dtype != reduced.dtype:
            raise ValueError(
                f"a photo of {restored.shape} samples in {restored.dtype} is not one of {reduced.shape} in "
                f"{reduced.dtype} enlarged {factor} times"
            )
        self._reduced, self._factor = reduced, factor

    @property
    def name(self) -> str:
        """The name in the manifest."""
        return self.NAME

    def project(self, pixels: Pixels, areas: ConstantAreas | None = None) -> None:
        """Correct a result in place until its reduction is the small photo; what clipping prevents is left."""
        pending = [(channel, window) for channel in range(self._reduced.shape[2]) for window in self._windows()]
        for number in range(_ROUNDS):
            pending = [
                (channel, window)
                for channel, window in pending
                if self._correct(pixels, channel, window, areas, number)
            ]

    def count(self, pixels: Pixels) -> Contradictions:
        """Count the samples of the small photo that the reduction of a result misses by more than one level."""
        height, width, channels = self._reduced.shape
        outside = 0
        for channel in range(channels):
            found = _resize(np.ascontiguousarray(pixels.samples[:, :, channel]), height, width)
            outside += int(_misses(self._reduced[:, :, channel], found).sum())
        return Contradictions(outside, self._reduced.size)

    def _windows(self) -> "Iterator[_Window]":
        """Yield windows that cover the small photo."""
        height, width, _ = self._reduced.shape
        for top in range(0, height, _WINDOW):
            for left in range(0, width, _WINDOW):
                yield _Window(_Span.at(top, height), _Span.at(left, width), self._factor)

    def _correct(
        self, pixels: Pixels, channel: int, window: "_Window", areas: ConstantAreas | None, number: int
    ) -> bool:
        """Correct a window of a channel; returns whether there was anything to correct.

        The first two corrections bring the reduction in floating point near y, later ones what 8 bits still miss.
        """
        goal: FloatArray = self._reduced[*window.around, channel].astype(np.float32)
        samples = np.ascontiguousarray(pixels.samples[*window.around_large, channel])
        found, values = _resize(samples, *goal.shape), samples.astype(np.float32)
        missed, difference = _misses(goal, found), goal - _resize(values, *goal.shape)
        is_near = np.abs(difference[window.core]).max() <= _CLOSE_ENOUGH
        if not missed[window.core].any() and (is_near or number > 0):
            return False
        if number > 1:
            difference = np.where(missed, goal - found, difference * (np.abs(difference) > _CLOSE_ENOUGH))
        values += self._solve(difference.astype(np.float32), values)
        corrected = np.rint(values[window.core_large].clip(0, 255)).astype(np.uint8)
        if areas is not None:
            kept = areas.mask(*window.large)
            corrected = np.where(kept, pixels.samples[*window.large, channel], corrected)
        pixels.samples[*window.large, channel] = corrected
        return True

    def _solve(self, difference: FloatArray, values: FloatArray) -> FloatArray:
        """Return the change of the samples whose reduction is about a difference, by conjugate gradients.

        Only samples that clipping leaves free change.
        """
        small, large = difference.shape, values.shape
        scale = np.float32(1 / self._factor**2)  # Dᵀ: Pillow's bicubic kernel is the same for both directions otherwise
        direction = _resize(difference, *large)
        free = ~(((values <= 0) & (direction < 0)) | ((values >= 255) & (direction > 0)))
        solution = np.zeros_like(difference)
        residual = search = difference
        energy = _dot(residual, residual)
        for _ in range(_STEPS):
            image = scale * _resize(free * _resize(search, *large), *small)
            curvature = _dot(search, image)
            if energy <= _MIN_ENERGY * difference.size or curvature <= 0:
                break
            step = np.float32(energy / curvature)
            solution, residual = solution + step * search, residual - step * image
            energy, previous = _dot(residual, residual), energy
            search = residual + np.float32(energy / previous) * search
        change: FloatArray = scale * free * _resize(solution, *large)
        return change


class _Span(NamedTuple):
    """A side of a window: the slice that is corrected, and a wider one that is looked at."""

    inner: slice
    outer: slice

    @classmethod
    def at(cls, start: int, length: int) -> "_Span":
        stop = min(start + _WINDOW, length)
        return cls(slice(start, stop), slice(max(0, start - _HALO), min(stop + _HALO, length)))

    @property
    def core(self) -> slice:
        """The inner slice within the outer one."""
        return slice(self.inner.start - self.outer.start, self.inner.stop - self.outer.start)


class _Window(NamedTuple):
    """A window of the small photo and of the large one."""

    rows: _Span
    columns: _Span
    factor: int

    @property
    def around(self) -> tuple[slice, slice]:
        """What is looked at of the small photo."""
        return self.rows.outer, self.columns.outer

    @property
    def around_large(self) -> tuple[slice, slice]:
        """What is looked at of the large photo."""
        return self._enlarge(self.rows.outer), self._enlarge(self.columns.outer)

    @property
    def large(self) -> tuple[slice, slice]:
        """What is corrected of the large photo."""
        return self._enlarge(self.rows.inner), self._enlarge(self.columns.inner)

    @property
    def core(self) -> tuple[slice, slice]:
        """What is corrected within what is looked at of the small photo."""
        return self.rows.core, self.columns.core

    @property
    def core_large(self) -> tuple[slice, slice]:
        """What is corrected within what is looked at of the large photo."""
        return self._enlarge(self.rows.core), self._enlarge(self.columns.core)

    def _enlarge(self, side: slice) -> slice:
        return slice(side.start * self.factor, side.stop * self.factor)


def _dot(first: FloatArray, second: FloatArray) -> float:
    """Return an inner product in fixed point, which does not depend on the order in which a processor adds."""
    first_steps, second_steps = (np.rint(each * _STEPS_PER_LEVEL).astype(np.int64) for each in (first, second))
    return int((first_steps * second_steps).sum()) / _STEPS_PER_LEVEL**2


def _misses(goal: NDArray[Any], found: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where a reduction differs from the small photo by more than rounding."""
    missed: NDArray[np.bool_] = np.abs(goal.astype(np.float32) - found) > _TOLERANCE
    return missed


def _resize(channel: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Return a channel, uint8 or float32, of another size: reduced as the degradation `downscale` does it."""
    return np.asarray(Image.fromarray(channel).resize((width, height), Image.Resampling.BICUBIC))
