"""Stratified sampling of files by size, and estimates of totals with their standard errors."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_STRATA = 4
_MIN_SAMPLES_PER_STRATUM = 2  # the variance of a single sample is unknown


@dataclass(frozen=True)
class TotalEstimate:
    """An estimated total with its standard error, in the unit of the value."""

    value: float
    standard_error: float

    @property
    def low(self) -> float:
        """The value minus two standard errors, at least 0."""
        return max(0.0, self.value - 2 * self.standard_error)

    @property
    def high(self) -> float:
        """The value plus two standard errors."""
        return self.value + 2 * self.standard_error

    def __mul__(self, factor: float) -> "TotalEstimate":
        return TotalEstimate(self.value * factor, self.standard_error * factor)

    def __add__(self, other: "TotalEstimate") -> "TotalEstimate":
        """Return the sum of two totals with independent errors."""
        return TotalEstimate(self.value + other.value, math.hypot(self.standard_error, other.standard_error))


def stratify_by_size(sizes: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Group files by size into at most `MAX_STRATA` strata of about as many bytes each, from small files to large.

    So the few large files, which are most of the work, are sampled as often as the many small ones.

    Args:
        sizes: file sizes in bytes, (n,).

    Returns:
        The positions of the files of each stratum; no stratum is empty.
    """
    order = np.argsort(sizes, kind="stable")
    bytes_up_to = np.cumsum(sizes[order], dtype=np.float64)
    if not len(order):
        return []
    cuts = np.searchsorted(bytes_up_to, bytes_up_to[-1] * np.arange(1, MAX_STRATA) / MAX_STRATA)
    return [stratum for stratum in np.split(order, cuts) if len(stratum)]


def sample_strata(
    strata: Sequence[NDArray[np.int64]], images: int, generator: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Sample each stratum without replacement.

    Args:
        strata: positions of the files of each stratum.
        images: about how many files to sample in total; at least two per stratum, if it has as many.
        generator: source of randomness.

    Returns:
        The sampled positions of each stratum, sorted.
    """
    per_stratum = max(_MIN_SAMPLES_PER_STRATUM, -(-images // max(1, len(strata))))
    return [np.sort(generator.choice(stratum, min(per_stratum, len(stratum)), replace=False)) for stratum in strata]


def estimate_total(counts: Sequence[int], values: Sequence[Sequence[float]]) -> TotalEstimate:
    """Estimate a total from a stratified sample.

    The estimate is the sum over strata of N·mean. Its squared standard error is the sum of N²·(1 − n/N)·s²/n, where
    s² is the variance of the n values sampled from N (Cochran 1977, eq. 5.12).

    Args:
        counts: number of files in each stratum, N.
        values: values of the sampled files of each stratum; at least two, or all of them.

    Raises:
        ValueError: a stratum has too few values.
    """
    value = variance = 0.0
    for count, sampled in zip(counts, values, strict=True):
        minimum = min(_MIN_SAMPLES_PER_STRATUM, count)
        if len(sampled) < minimum:
            raise ValueError(f"{len(sampled)} of {count} files were measured, at least {minimum} are needed")
        value += count * float(np.mean(sampled))
        if count > len(sampled):
            variance += count**2 * (1 - len(sampled) / count) * float(np.var(sampled, ddof=1)) / len(sampled)
    return TotalEstimate(value, math.sqrt(variance))
