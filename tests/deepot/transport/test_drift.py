"""How far a set drifts by added photos, against many draws of photos of the same and of another kind."""

import pytest
import torch

from deepot.errors import MomentsError
from deepot.transport.drift import DriftDistance, estimate_sampling_variance, measure_drift_distance
from deepot.transport.merging import merge_in_order
from deepot.transport.moments import Moments


def make_moments(generator, scale=1.0, shift=0.0):
    """The moments of one photo, whose patches have a mean of their own as in real photos: photos are the units."""
    centre = torch.randn(6, generator=generator, dtype=torch.float64)
    spread = torch.randn(200, 6, generator=generator, dtype=torch.float64)
    return Moments.from_patches((centre + 0.5 * spread) * scale + shift)


def make_photos(generator, count, **changes):
    return [make_moments(generator, **changes) for _ in range(count)]


@pytest.mark.parametrize(("count", "more"), [(16, 1), (16, 16), (48, 12)])
def test_sampling_rms_is_the_drift_by_photos_of_the_same_kind(generator, count, more):
    squares, expected = [], []
    for _ in range(60):
        old = make_photos(generator, count)
        found = measure_drift_distance(
            merge_in_order(old), merge_in_order(make_photos(generator, more)), estimate_sampling_variance(old)
        )
        squares.append(found.all_vs_old**2)
        expected.append(found.sampling_rms**2)
    assert sum(expected) == pytest.approx(sum(squares), rel=0.25)


def test_estimate_sampling_variance_of_blocks_is_close_to_that_of_photos(generator):
    old = make_photos(generator, 400)
    blocks = [
        merge_in_order(old[first : first + size]) for first, size in zip(range(0, 400, 20), [20] * 20, strict=True)
    ]
    assert estimate_sampling_variance(blocks) == pytest.approx(estimate_sampling_variance(old), rel=0.4)


def test_excess_of_photos_of_another_kind_is_beyond_chance(generator):
    old = make_photos(generator, 32)
    merged, variance = merge_in_order(old), estimate_sampling_variance(old)
    same = measure_drift_distance(merged, merge_in_order(make_photos(generator, 16)), variance)
    other = measure_drift_distance(merged, merge_in_order(make_photos(generator, 16, shift=2.0)), variance)
    assert same.excess < 0.2 < 0.4 < other.excess < other.all_vs_old < other.new_vs_old
    assert other.all_vs_old == pytest.approx(2 * 6**0.5 / 3, rel=0.4), (
        "a third of the photos differ by 2 in 6 directions"
    )
    assert DriftDistance(1.0, 0.5, 0.3).excess == pytest.approx(0.4)
    assert DriftDistance(1.0, 0.2, 0.3).excess == 0


def test_estimate_sampling_variance_of_one_block_is_zero(generator):
    one, other = make_photos(generator, 2)
    assert estimate_sampling_variance([one]) == estimate_sampling_variance([one, Moments.empty(6)]) == 0
    assert measure_drift_distance(one, other, 0.0).sampling_rms == 0
    with pytest.raises(MomentsError, match="at least 2"):
        measure_drift_distance(one, Moments.empty(6), 0.0)
