"""How many results a person would reject, at most, with a confidence: exact bounds from a stratified sample.

`review_bound.js` of the page computes the same in the browser.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
"""The confidence of the bound."""
_TIE = 1e-9  # relative; a probability that equals the permitted error but for rounding does not exclude a number


@dataclass(frozen=True)
class StratumCounts:
    """What is known of the photos of a stratum.

    Attributes:
        photos: photos of the run.
        reviewed: how many of these were accepted or rejected.
        rejected: how many of these were rejected.

    Raises:
        ValueError: not 0 ≤ rejected ≤ reviewed ≤ photos.
    """

    photos: int
    reviewed: int
    rejected: int

    def __post_init__(self) -> None:
        if not 0 <= self.rejected <= self.reviewed <= self.photos:
            raise ValueError(f"{self.rejected} of {self.reviewed} of {self.photos} photos")

    @property
    def is_sampled(self) -> bool:
        """Whether some photos were reviewed, but not all."""
        return 0 < self.reviewed < self.photos


def bound_rejects(strata: Sequence[StratumCounts], confidence: float = CONFIDENCE) -> tuple[int, ...]:
    """Return for each stratum how many of its photos would be rejected at most, all of these at once.

    The permitted error, 1 − confidence, is divided equally among the s strata that were reviewed in part (Bonferroni):
    each bound is too small with a probability of at most (1 − confidence)/s, hence any of them with at most
    1 − confidence. A stratum that was reviewed completely is known, and of one without a review everything is possible;
    neither needs a part of the error.

    Args:
        strata: the counts of each stratum; what was reviewed is a random sample of it.
        confidence: the probability, in (0, 1), with which all bounds hold.
    """
    n_sampled = sum(stratum.is_sampled for stratum in strata)
    error = (1 - confidence) / max(1, n_sampled)
    return tuple(upper_bound(stratum, error) for stratum in strata)


def upper_bound(stratum: StratumCounts, error: float) -> int:
    """Return the largest number of rejects in a stratum that its sample does not exclude.

    That is the largest K with P(X ≤ r) > error, where X, the number of rejects among n of N photos without replacement,
    is hypergeometric: P(X = x) = C(K, x)·C(N − K, n − x) / C(N, n). So the bound is below the true number with a
    probability of at most `error`. It is the interval of Clopper and Pearson (1934) for a finite population
    (Buonaccorsi 1987, The American Statistician 41(3), 215–218); for N ≫ n it is N times their binomial bound, and it
    is exactly r where n = N.

    Args:
        stratum: N photos, n of them reviewed, r of these rejected.
        error: the permitted probability, in (0, 1).
    """
    low, high = stratum.rejected, stratum.photos - (stratum.reviewed - stratum.rejected)
    while low < high:  # P(X ≤ r) falls in K
        middle = (low + high + 1) // 2
        if _probability_up_to(stratum.rejected, stratum.photos, middle, stratum.reviewed) > error * (1 - _TIE):
            low = middle
        else:
            high = middle - 1
    return low


def _probability_up_to(rejected: int, photos: int, rejects: int, reviewed: int) -> float:
    """Return P(X ≤ rejected) for a hypergeometric X, in O(reviewed) steps, without factorials of large numbers."""
    others = photos - rejects
    smallest = max(0, reviewed - others)
    if smallest:  # C(K, smallest) / C(N, n), with n = smallest + others and N = K + others
        term = sum(math.log((smallest + i) / (rejects + i)) for i in range(1, others + 1))
    else:  # C(N − K, n) / C(N, n)
        term = sum(math.log1p(-rejects / (photos - i)) for i in range(reviewed))
    total = term
    for x in range(smallest, min(rejected, rejects, reviewed)):
        term += math.log((rejects - x) * (reviewed - x) / ((x + 1) * (others - reviewed + x + 1)))
        total = max(total, term) + math.log1p(math.exp(-abs(total - term)))
    return math.exp(total)
