from itertools import pairwise

import numpy as np
import pytest

from pipeline.estimation.stratified_sampling import TotalEstimate, estimate_total, sample_strata, stratify_by_size


@pytest.fixture
def sizes():
    return np.random.default_rng(3).lognormal(14, 1.5, 2000).astype(np.int64)


def test_groups_hold_every_file_once_and_about_as_many_bytes_each(sizes):
    found = stratify_by_size(sizes)
    assert sorted(np.concatenate(found)) == list(range(len(sizes)))
    shares = [sizes[group].sum() / sizes.sum() for group in found]
    assert len(found) == 4
    assert shares == pytest.approx([0.25] * 4, abs=0.05)
    assert all(sizes[a].max() <= sizes[b].min() for a, b in pairwise(found))


@pytest.mark.parametrize("few", [[], [5], [0, 0, 0], [7] * 5, [1, 10**9]])
def test_few_files_and_empty_ones(few):
    found = stratify_by_size(np.array(few, np.int64))
    assert sorted(place for group in found for place in group) == list(range(len(few)))
    drawn = sample_strata(found, 16, np.random.default_rng(0))
    told = estimate_total([len(group) for group in found], [np.array(few)[places].tolist() for places in drawn])
    assert told == TotalEstimate(sum(few), 0), "all of them were measured"


def test_the_estimate_is_right_on_average_and_its_error_is_what_it_says(sizes):
    """Over many draws: no bias, and as much spread as the standard errors say."""
    seconds = 0.3 + sizes / 2e6 * np.random.default_rng(4).uniform(0.5, 1.5, len(sizes))
    found = stratify_by_size(sizes)
    told = []
    for seed in range(400):
        drawn = sample_strata(found, 16, np.random.default_rng(seed))
        assert [len(places) for places in drawn] == [4] * 4
        told.append(estimate_total([len(group) for group in found], [seconds[places] for places in drawn]))
    values = np.array([each.value for each in told])
    assert values.mean() == pytest.approx(seconds.sum(), rel=0.03)
    assert np.sqrt(np.mean([each.standard_error**2 for each in told])) == pytest.approx(values.std(), rel=0.15)
    plain = [len(sizes) * np.random.default_rng(seed).choice(seconds, 16, replace=False).mean() for seed in range(400)]
    assert values.std() < 0.7 * np.std(plain), "groups by size are worth their while"


def test_sums_and_bounds():
    both = TotalEstimate(10, 3) + TotalEstimate(5, 4) * 2
    assert (both.value, both.standard_error) == (20, pytest.approx(73**0.5))
    assert (TotalEstimate(10, 3).low, TotalEstimate(10, 3).high, TotalEstimate(1, 3).low) == (4, 16, 0)


def test_one_of_several_tells_nothing():
    with pytest.raises(ValueError, match="1 of 9 files were measured, at least 2"):
        estimate_total([9], [[1.0]])
