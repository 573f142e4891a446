"""Strata: a total over many files, told from a few: groups by size, a draw from each, and how sure it is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GROUPS = 4
_LEAST = 2  # of a group: of one alone nothing says how much they differ


@dataclass(frozen=True)
class Total:
    """An estimated total.

    Attributes:
        value: the estimate.
        error: its standard error.
    """

    value: float
    error: float

    @property
    def low(self) -> float:
        """Two standard errors less, at least nothing."""
        return max(0.0, self.value - 2 * self.error)

    @property
    def high(self) -> float:
        """Two standard errors more."""
        return self.value + 2 * self.error

    def __mul__(self, factor: float) -> "Total":
        return Total(self.value * factor, self.error * factor)

    def __add__(self, other: "Total") -> "Total":
        """The sum of two totals whose errors have nothing to do with each other."""
        return Total(self.value + other.value, math.hypot(self.error, other.error))


def groups(sizes: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Places of files in a list, in at most four groups from small files to large, each of about as many bytes.

    So the few large files, in which most of the work is, are drawn from as often as the many small ones.
    """
    order = np.argsort(sizes, kind="stable")
    bytes_up_to = np.cumsum(sizes[order], dtype=np.float64)
    if not len(order):
        return []
    cuts = np.searchsorted(bytes_up_to, bytes_up_to[-1] * np.arange(1, GROUPS) / GROUPS)
    return [group for group in np.split(order, cuts) if len(group)]


def draw(of: Sequence[NDArray[np.int64]], images: int, generator: np.random.Generator) -> list[NDArray[np.int64]]:
    """Places drawn from each group, about `images` in all, two of a group at the least."""
    each = max(_LEAST, -(-images // max(1, len(of))))
    return [np.sort(generator.choice(group, min(each, len(group)), replace=False)) for group in of]


def total(counts: Sequence[int], values: Sequence[Sequence[float]]) -> Total:
    """A total from what was measured of those drawn.

    Sum over groups of N·mean, with the standard error of stratified sampling: its square is the sum of
    N²·(1 − n/N)·s²/n, where s² is the variance of the n values drawn of N (Cochran 1977, eq. 5.12).

    Args:
        counts: files of each group, N.
        values: of those drawn of each group; at least two, or all of them.

    Raises:
        ValueError: there is nothing drawn of a group, or one of several.
    """
    value = variance = 0.0
    for count, drawn in zip(counts, values, strict=True):
        if len(drawn) < min(_LEAST, count):
            raise ValueError(f"{len(drawn)} of {count} files were measured, at least {min(_LEAST, count)} are needed")
        value += count * float(np.mean(drawn))
        if count > len(drawn):
            variance += count**2 * (1 - len(drawn) / count) * float(np.var(drawn, ddof=1)) / len(drawn)
    return Total(value, math.sqrt(variance))
