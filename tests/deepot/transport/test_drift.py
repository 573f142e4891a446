import pytest
import torch

from deepot.errors import MomentsError
from deepot.transport.drift import DriftDistance, estimate_sampling_variance, measure_drift_distance
from deepot.transport.moments import Moments, merge_in_order


def photo(generator, scale=1.0, shift=0.0):
    """One photo: patches about a mean of its own, as those of a real photo are, so that photos are what counts."""
    centre = torch.randn(6, generator=generator, dtype=torch.float64)
    spread = torch.randn(200, 6, generator=generator, dtype=torch.float64)
    return Moments.from_patches((centre + 0.5 * spread) * scale + shift)


def photos(generator, count, **changes):
    return [photo(generator, **changes) for _ in range(count)]


@pytest.mark.parametrize(("count", "more"), [(16, 1), (16, 16), (48, 12)])
def test_chance_is_what_photos_of_the_same_kind_move_a_set_by(generator, count, more):
    squares, expected = [], []
    for _ in range(60):
        old = photos(generator, count)
        found = measure_drift_distance(
            merge_in_order(old), merge_in_order(photos(generator, more)), estimate_sampling_variance(old)
        )
        squares.append(found.all_vs_old**2)
        expected.append(found.sampling_rms**2)
    assert sum(expected) == pytest.approx(sum(squares), rel=0.25)


def test_blocks_of_photos_measure_the_same_chance(generator):
    old = photos(generator, 400)
    blocks = [
        merge_in_order(old[first : first + size]) for first, size in zip(range(0, 400, 20), [20] * 20, strict=True)
    ]
    assert estimate_sampling_variance(blocks) == pytest.approx(estimate_sampling_variance(old), rel=0.4)


def test_what_is_of_another_kind_is_beyond_chance(generator):
    old = photos(generator, 32)
    whole, variance = merge_in_order(old), estimate_sampling_variance(old)
    same = measure_drift_distance(whole, merge_in_order(photos(generator, 16)), variance)
    other = measure_drift_distance(whole, merge_in_order(photos(generator, 16, shift=2.0)), variance)
    assert same.excess < 0.2 < 0.4 < other.excess < other.all_vs_old < other.new_vs_old
    assert other.all_vs_old == pytest.approx(2 * 6**0.5 / 3, rel=0.4), (
        "a third of the photos moved by 2 in 6 directions"
    )
    assert DriftDistance(1.0, 0.5, 0.3).excess == pytest.approx(0.4)
    assert DriftDistance(1.0, 0.2, 0.3).excess == 0


def test_of_one_block_nothing_is_known_of_chance(generator):
    one, other = photos(generator, 2)
    assert estimate_sampling_variance([one]) == estimate_sampling_variance([one, Moments.empty(6)]) == 0
    assert measure_drift_distance(one, other, 0.0).sampling_rms == 0
    with pytest.raises(MomentsError, match="at least 2"):
        measure_drift_distance(one, Moments.empty(6), 0.0)
