"""Bounds on rejects agree with sums of binomial coefficients, and cover the truth as often as they promise."""

from fractions import Fraction
from itertools import product
from math import ceil, comb

import pytest

from pipeline.review import StratumCounts, bound_rejects, upper_bound

ERRORS = (Fraction(1, 20), Fraction(1, 60), Fraction(3, 10))
SIZES = range(1, 13)


def probability(rejects_seen, photos, rejects, reviewed):
    """P(X = rejects_seen) among `reviewed` of `photos` photos, without rounding."""
    ways = comb(rejects, rejects_seen) * comb(photos - rejects, reviewed - rejects_seen)
    return Fraction(ways, comb(photos, reviewed))


def bound_by_enumeration(photos, reviewed, rejected, error):
    def is_excluded(rejects):
        return sum(probability(x, photos, rejects, reviewed) for x in range(rejected + 1)) <= error

    return max(each for each in range(rejected, photos - reviewed + rejected + 1) if not is_excluded(each))


def outcomes(photos, reviewed, rejects):
    """The possible numbers of rejects in a sample, with their probabilities."""
    possible = range(max(0, reviewed - photos + rejects), min(reviewed, rejects) + 1)
    return [(seen, probability(seen, photos, rejects, reviewed)) for seen in possible]


@pytest.mark.parametrize("error", ERRORS)
def test_upper_bound_equals_enumeration(error):
    for photos in SIZES:
        for reviewed in range(photos + 1):
            for rejected in range(reviewed + 1):
                expected = bound_by_enumeration(photos, reviewed, rejected, error)
                ties = {expected, bound_by_enumeration(photos, reviewed, rejected, error * (1 - Fraction(1, 10**6)))}
                found = upper_bound(StratumCounts(photos, reviewed, rejected), float(error))
                assert found in ties and found >= expected, (photos, reviewed, rejected)


@pytest.mark.parametrize("error", ERRORS)
def test_upper_bound_is_below_the_truth_with_at_most_the_permitted_probability(error):
    for photos, reviewed in product(SIZES, SIZES):
        for rejects in range(photos + 1 if reviewed <= photos else 0):
            missed = sum(
                chance
                for seen, chance in outcomes(photos, reviewed, rejects)
                if upper_bound(StratumCounts(photos, reviewed, seen), float(error)) < rejects
            )
            assert missed <= error, (photos, reviewed, rejects)


def test_sum_of_bounds_is_below_the_truth_with_at_most_five_percent():
    """Two strata at a time, all numbers of rejects, every pair of samples."""
    first, second = (9, 4), (12, 3)
    for rejects in product(range(first[0] + 1), range(second[0] + 1)):
        missed = Fraction(0)
        for (seen, chance), (other_seen, other_chance) in product(
            outcomes(*first, rejects[0]), outcomes(*second, rejects[1])
        ):
            bounds = bound_rejects([StratumCounts(*first, seen), StratumCounts(*second, other_seen)])
            missed += chance * other_chance * (sum(bounds) < sum(rejects))
        assert missed <= Fraction(1, 20), rejects


def clopper_pearson(reviewed, rejected, error):
    """The upper limit of a binomial share: P(X ≤ rejected) = error there."""
    low, high = 0.0, 1.0
    for _ in range(60):
        share = (low + high) / 2
        below = sum(comb(reviewed, x) * share**x * (1 - share) ** (reviewed - x) for x in range(rejected + 1))
        low, high = (share, high) if below > error else (low, share)
    return high


@pytest.mark.parametrize(("reviewed", "rejected"), [(1, 0), (25, 0), (25, 3), (50, 0), (50, 7), (100, 1), (99, 98)])
@pytest.mark.parametrize("photos", [100, 1000, 100_000_000])
def test_upper_bound_equals_that_of_clopper_and_pearson_in_large_runs(reviewed, rejected, photos):
    share = upper_bound(StratumCounts(photos, reviewed, rejected), 0.05) / photos
    binomial = clopper_pearson(reviewed, rejected, 0.05)
    assert rejected / photos <= share <= binomial
    if photos == 100_000_000:
        assert share == pytest.approx(binomial, abs=1e-6)


@pytest.mark.parametrize("error", [0.05, 0.05 / 3])
def test_upper_bound_of_small_runs_is_that_of_clopper_and_pearson_rounded_up_or_less(error):
    """Their bound itself may be too low: of 59 photos, 2 of 3 rejects exclude 58 at 95 % with replacement only."""
    for reviewed in range(1, 16):
        for rejected in range(reviewed):
            binomial = clopper_pearson(reviewed, rejected, error)
            for photos in range(reviewed, 60, 4):
                assert upper_bound(StratumCounts(photos, reviewed, rejected), error) <= ceil(binomial * photos)


def test_strata_that_are_known_or_not_reviewed_take_no_part_of_the_error():
    sampled = StratumCounts(1000, 50, 2)
    alone = bound_rejects([sampled])
    assert bound_rejects([StratumCounts(7, 7, 3), sampled, StratumCounts(40, 0, 0)]) == (3, *alone, 40)
    assert bound_rejects([sampled, sampled])[0] > alone[0], "two samples share the error"
    assert bound_rejects([]) == ()


@pytest.mark.parametrize("counts", [(5, 6, 0), (5, 3, 4), (5, 3, -1)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(ValueError, match="photos"):
        StratumCounts(*counts)
