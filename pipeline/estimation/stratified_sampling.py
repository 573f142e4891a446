"""Strata: a total over many files, told from a few: groups by size, a draw from each, and how sure it is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_STRATA = 4
_MIN_SAMPLES_PER_STRATUM = 2  # of a group: of one alone nothing says how much they differ


@dataclass(frozen=True)
class TotalEstimate:
    """An estimated total.

    Attributes:
        value: the estimate.
        standard_error: its standard error.
    """

    value: float
    standard_error: float

    @property
    def low(self) -> float:
        """Two standard errors less, at least nothing."""
        return max(0.0, self.value - 2 * self.standard_error)

    @property
    def high(self) -> float:
        """Two standard errors more."""
        return self.value + 2 * self.standard_error

    def __mul__(self, factor: float) -> "TotalEstimate":
        return TotalEstimate(self.value * factor, self.standard_error * factor)

    def __add__(self, other: "TotalEstimate") -> "TotalEstimate":
        """The sum of two totals whose errors have nothing to do with each other."""
        return TotalEstimate(self.value + other.value, math.hypot(self.standard_error, other.standard_error))


def stratify_by_size(sizes: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Places of files in a list, in at most four groups from small files to large, each of about as many bytes.

    So the few large files, in which most of the work is, are drawn from as often as the many small ones.
    """
    order = np.argsort(sizes, kind="stable")
    bytes_up_to = np.cumsum(sizes[order], dtype=np.float64)
    if not len(order):
        return []
    cuts = np.searchsorted(bytes_up_to, bytes_up_to[-1] * np.arange(1, MAX_STRATA) / MAX_STRATA)
    return [group for group in np.split(order, cuts) if len(group)]


def sample_strata(
    strata: Sequence[NDArray[np.int64]], images: int, generator: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Places drawn from each group, about `images` in all, two of a group at the least."""
    per_stratum = max(_MIN_SAMPLES_PER_STRATUM, -(-images // max(1, len(strata))))
    return [np.sort(generator.choice(group, min(per_stratum, len(group)), replace=False)) for group in strata]


def estimate_total(counts: Sequence[int], values: Sequence[Sequence[float]]) -> TotalEstimate:
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
    for count, sampled in zip(counts, values, strict=True):
        if len(sampled) < min(_MIN_SAMPLES_PER_STRATUM, count):
            raise ValueError(
                f"{len(sampled)} of {count} files were measured, at least {min(_MIN_SAMPLES_PER_STRATUM, count)} are needed"
            )
        value += count * float(np.mean(sampled))
        if count > len(sampled):
            variance += count**2 * (1 - len(sampled) / count) * float(np.var(sampled, ddof=1)) / len(sampled)
    return TotalEstimate(value, math.sqrt(variance))
