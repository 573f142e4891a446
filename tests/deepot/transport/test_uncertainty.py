"""The standard error of a map, against known sets and a jackknife by hand."""

import numpy as np
import pytest
import torch

from deepot.errors import MomentsError
from deepot.transport.dct import dct_basis
from deepot.transport.moments import Moments
from deepot.transport.shrinkage import Shrinkage
from deepot.transport.uncertainty import MapUncertainty, estimate_uncertainty

CHANNELS, P = 4, 3
D = CHANNELS * P**2


def cosines():
    """Of a flattened 3 × 3 patch, frequencies in rows."""
    rows = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]], dtype=torch.float64)
    rows /= rows.norm(dim=1, keepdim=True)
    return torch.kron(rows, rows)


def images(number, seed, fine=1.0, shift=0.0):
    """Moments of images that differ in mean and contrast; `fine` scales all frequencies but the lowest."""
    generator = torch.Generator().manual_seed(seed)
    frequencies = cosines()
    spread = torch.full((9,), 0.5, dtype=torch.float64)
    spread[0] = 3.0
    gain = torch.full((9,), fine, dtype=torch.float64)
    gain[0] = 1.0
    result = []
    for _ in range(number):
        mean = 0.2 * torch.randn(CHANNELS, 1, generator=generator).double() + shift
        contrast = 2 ** (0.5 * torch.randn(1, generator=generator).double())
        parts = torch.randn(200, CHANNELS, 9, generator=generator).double() * spread * contrast * gain
        result.append(Moments.from_patches((parts @ frequencies + mean).reshape(200, D)))
    return result


def test_standard_error_of_sets_of_one_kind_is_about_one():
    errors = [estimate_uncertainty(images(12, seed), images(12, seed + 100), P).standard_error for seed in range(12)]
    assert 0.7 < np.median(errors) < 1.4
    factors = [[max(0.0, 1 - shrinkage_se * error) for error in errors] for shrinkage_se in (1, 2)]
    assert np.median(factors[0]) < 0.3
    assert max(factors[0]) < 0.6
    assert max(factors[1]) < 0.2


@pytest.mark.parametrize("what", [{"fine": 0.3}, {"shift": -2.0}])
def test_standard_error_of_a_real_difference_falls_with_more_images(what):
    few, many = (
        np.mean(
            [estimate_uncertainty(images(n, seed, **what), images(n, seed + 50), P).standard_error for seed in range(5)]
        )
        for n in (5, 80)
    )
    assert many < 0.5 * few
    assert many < 0.3


def test_standard_error_of_pairs_is_far_below_that_of_other_scenes():
    natural, soft = images(12, 0), images(12, 0, fine=0.8)
    paired = estimate_uncertainty(soft, natural, P, paired=True)
    assert paired.standard_error < 0.05
    assert estimate_uncertainty(soft, natural, P).standard_error > 4 * paired.standard_error


def test_standard_error_equals_the_jackknife_by_hand():
    """One channel, one position, blocks of one size, against leaving out one block after the other by hand."""
    random = np.random.default_rng(0)
    blocks = random.normal(size=(2, 7, 50)) * random.uniform(1, 2, (2, 7, 1)) + random.normal(size=(2, 7, 1))
    blocks[1] = 1.5 * blocks[1] + 1
    centres = blocks.mean(axis=(1, 2))
    spreads = np.square(blocks - centres[:, None, None]).mean(axis=2)

    def statistic(keep):
        means, variances = ([part[side, keep[side]].mean() for side in (0, 1)] for part in (blocks, spreads))
        return np.array([means[1] - means[0], ((variances[1] / variances[0]) ** 0.5 - 1) * spreads[0].mean() ** 0.5])

    everything = [list(range(7))] * 2
    overall, chance = statistic(everything), 0.0
    for side in (0, 1):
        for left_out in range(7):
            keep = [list(rows) for rows in everything]
            keep[side].remove(left_out)
            chance += 6 / 7 * np.square(statistic(keep) - overall).sum()
    sides = [[Moments.from_patches(torch.from_numpy(block[:, None])) for block in side] for side in blocks]
    expected = (chance / np.square(overall).sum()) ** 0.5
    assert estimate_uncertainty(*sides, 1).standard_error == pytest.approx(expected, rel=1e-9)


def test_each_part_is_shrunk_by_its_own_standard_error():
    uncertainty = MapUncertainty(0.4, 16, squared_norms=(1.0, 4.0, 2.0, 0.0, 3.0), variances=(0.25, 4.8, 0.2, 0.0, 0.3))
    for shrinkage_se, mean, frequencies in (
        (0, 1.0, [1, 1, 1, 1]),
        (1, 0.75, [0, 0.9, 1, 0.9]),
        (2, 0.0, [0, 0.6, 1, 0.6]),
    ):
        found = uncertainty.shrinkage(shrinkage_se)
        assert found.mean == pytest.approx(mean)
        assert found.frequencies.tolist() == pytest.approx(frequencies)
        assert found.overall == pytest.approx(
            (mean + 4 * frequencies[0] + 2 * frequencies[1] + 3 * frequencies[3]) / 10
        )
    assert uncertainty.shrinkage(3).overall == 0, "1.2 standard errors of the whole map"


def test_fine_frequencies_are_shrunk_less_than_the_coarse_one():
    """Photos differ in brightness and contrast; how much softer their fine structure is they all tell alike."""
    found = estimate_uncertainty(images(8, 0, fine=0.5), images(8, 1), P).shrinkage(1)
    assert found.frequencies[0] < found.frequencies[-1] - 0.1


def test_shrunk_matrix_is_positive_and_keeps_the_frequencies_that_nothing_is_known_of():
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(18, 18, generator=generator, dtype=torch.float64)
    matrix = root @ root.mT / 18
    frequencies = torch.linspace(0, 1, 9, dtype=torch.float64)
    shrunk = Shrinkage(1.0, frequencies, 0.5).shrink_matrix(matrix)
    assert torch.equal(shrunk, shrunk.mT)
    assert torch.linalg.eigvalsh(shrunk).min() >= -1e-12
    basis = torch.kron(torch.eye(2, dtype=torch.float64), dct_basis(3))
    in_frequencies = (basis @ (shrunk - torch.eye(18).double()) @ basis.mT).reshape(2, 9, 2, 9)
    assert in_frequencies[:, 0].abs().max() < 1e-12
    full = (basis @ (matrix - torch.eye(18).double()) @ basis.mT).reshape(2, 9, 2, 9)
    torch.testing.assert_close(in_frequencies[:, 8, :, 8], full[:, 8, :, 8])
    torch.testing.assert_close(in_frequencies[:, 2, :, 2], 0.25 * full[:, 2, :, 2])


def test_standard_error_with_directions_without_variance_is_finite():
    sides = [
        [Moments.from_patches(torch.randn(50, 3) * torch.tensor([1.0, 1.0, 0.0])) for _ in range(6)] for _ in range(2)
    ]
    assert np.isfinite(estimate_uncertainty(*sides, 1).standard_error)


def test_standard_error_of_equal_pairs_is_zero_but_not_of_equal_sets():
    sides = images(4, 0), images(4, 0)
    assert estimate_uncertainty(*sides, P, paired=True).standard_error < 1e-3
    assert estimate_uncertainty(*sides, P).shrinkage(1).overall == 0


def test_estimate_uncertainty_leaves_out_empty_blocks_with_their_pairs():
    natural, soft = images(5, 0), images(5, 0, fine=0.5)
    expected = estimate_uncertainty([soft[0], *soft[2:4]], [natural[0], *natural[2:4]], P, paired=True)
    soft[1] = natural[4] = Moments.empty(D)
    assert estimate_uncertainty(soft, natural, P, paired=True) == expected
    with pytest.raises(MomentsError, match="5 restored and 4 natural images or blocks cannot be paired"):
        estimate_uncertainty(soft, natural[:4], P, paired=True)


def test_estimate_uncertainty_of_one_image_raises():
    with pytest.raises(MomentsError, match="at least 2 in each set"):
        estimate_uncertainty(images(1, 0), images(5, 1), P)


def test_standard_error_rises_if_one_block_outweighs_the_others():
    sets = [images(8, 0, fine=0.3), images(8, 1)]
    heavy = Moments(10**6, 1, sets[0][0].mean, sets[0][0].scatter * 10**6 / sets[0][0].count)
    even = estimate_uncertainty(sets[0], sets[1], P)
    uneven = estimate_uncertainty([heavy, *sets[0][1:]], sets[1], P)
    assert even.effective_images == pytest.approx(8)
    assert uneven.effective_images == pytest.approx(1, abs=0.01)
    assert uneven.standard_error > 1.5 * even.standard_error
