"""Two sets: what chance explains is left alone, what it cannot explain is moved."""

import numpy as np
import pytest
import torch

from deepot.errors import MomentsError
from deepot.evidence import MOST_SCALE, evidence_of, evident_map
from deepot.gaussian import transport_matrix
from deepot.moments import Moments, merge_in_order

CHANNELS, P = 4, 3
D = CHANNELS * P**2
IDENTITY = torch.eye(D, dtype=torch.float64)


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
        mean = torch.randn(CHANNELS, 1, generator=generator).double() + shift
        contrast = 2 ** (0.5 * torch.randn(1, generator=generator).double())
        parts = torch.randn(200, CHANNELS, 9, generator=generator).double() * spread * contrast * gain
        result.append(Moments.from_patches((parts @ frequencies + mean).reshape(200, D)))
    return result


def test_sets_of_one_kind_are_left_alone():
    found = [evident_map(images(12, seed), images(12, seed + 100), P, doubt=2) for seed in range(12)]
    off = [float((each.matrix - IDENTITY).norm() / D**0.5) for each in found]
    assert np.median(off) < 1e-9
    assert max(off) < 0.2
    assert np.median([each.evidence.spread for each in found]) < 0.35
    assert np.median([float((each.target_mean - each.source_mean).norm()) for each in found]) < 1.0


def test_a_difference_beyond_chance_is_undone():
    found = evident_map(images(16, 0, fine=0.5), images(16, 1), P)
    assert (torch.linalg.eigvalsh(found.matrix) > 0).all()
    parts = (cosines() @ found.matrix.reshape(CHANNELS, 9, CHANNELS, 9)[0, :, 0] @ cosines().mT).diagonal()
    assert parts[1:].median() == pytest.approx(2, rel=0.25)
    assert parts[0] == pytest.approx(1, abs=0.4)
    assert found.evidence.spread > 0.7


def test_a_shift_beyond_chance_is_undone_and_more_images_are_more_evidence():
    few, many = (
        [evident_map(images(number, seed, shift=-0.5), images(number, seed + 50), P, doubt=2) for seed in range(5)]
        for number in (3, 60)
    )
    assert np.mean([each.evidence.mean for each in few]) < 0.8 * np.mean([each.evidence.mean for each in many])
    many = many[0]
    assert ((many.target_mean - many.source_mean) - 0.5).abs().max() < 0.4


def test_doubt_only_ever_draws_nearer_to_the_identity():
    sides = images(10, 0, fine=0.6), images(10, 1)
    off = [(evident_map(*sides, P, doubt).matrix - IDENTITY).norm() for doubt in (0, 1, 2, 4, 1e9)]
    assert off == sorted(off, reverse=True)
    assert off[-1] < 1e-9


def test_without_doubt_channels_are_transported_exactly():
    """With one position a patch there is one frequency, and the map is the closed form."""
    generator = torch.Generator().manual_seed(0)
    sides = [
        [Moments.from_patches(torch.randn(90, 3, generator=generator) * scale) for _ in range(4)]
        for scale in (torch.tensor([1.0, 2.0, 0.5]), torch.tensor([1.5, 1.0, 0.7]))
    ]
    found = evident_map(*sides, 1, doubt=0)
    scatters = [merge_in_order(side).scatter for side in sides]
    torch.testing.assert_close(found.matrix, transport_matrix(*scatters))
    torch.testing.assert_close(found.target_mean, merge_in_order(sides[1]).mean)


def test_pairs_are_far_more_evidence_than_other_scenes():
    natural = images(12, 0)
    soft = images(12, 0, fine=0.8)
    paired = evidence_of(soft, natural, P, paired=True)
    unpaired = evidence_of(soft, natural, P)
    assert paired.spread > 0.99
    assert unpaired.spread < 0.95 * paired.spread


def test_the_jackknife_gives_the_variance_of_a_mean():
    """One channel, one position, blocks of one size: s² / n on either side."""
    random = np.random.default_rng(0)
    values = (
        random.normal(size=(2, 10, 50, 1))
        + random.normal(size=(2, 10, 1, 1))
        + np.array([0.0, 3.0])[:, None, None, None]
    )
    sides = [[Moments.from_patches(torch.from_numpy(block)) for block in side] for side in values]
    means = values.mean(axis=(2, 3))
    chance = (means.var(axis=1, ddof=1) / 10).sum()
    squared = float(np.diff(means.mean(axis=1))[0] ** 2)
    assert evidence_of(*sides, 1).mean == pytest.approx(1 - chance / squared, rel=1e-9)


def test_directions_without_variance_are_left_alone():
    sides = [
        [Moments.from_patches(torch.randn(50, 3) * torch.tensor([1.0, 1.0, 0.0])) for _ in range(6)] for _ in range(2)
    ]
    found = evident_map(*sides, 1)
    assert torch.isfinite(found.matrix).all()
    torch.testing.assert_close(found.matrix[2], torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64), rtol=0, atol=1e-9)


def test_equal_sets_differ_by_nothing():
    sides = images(4, 0), images(4, 0)
    assert evidence_of(*sides, P, paired=True).spread < 1e-6
    assert evidence_of(*sides, P).mean == 0


def test_blocks_without_patches_are_left_out_with_their_pairs():
    natural, soft = images(5, 0), images(5, 0, fine=0.5)
    wanted = evidence_of([soft[0], *soft[2:4]], [natural[0], *natural[2:4]], P, paired=True)
    soft[1] = natural[4] = Moments.empty(D)
    assert evidence_of(soft, natural, P, paired=True) == wanted
    with pytest.raises(MomentsError, match="5 restored and 4 natural images or blocks are no pairs"):
        evidence_of(soft, natural[:4], P, paired=True)


def test_one_image_is_no_evidence():
    with pytest.raises(MomentsError, match="at least 2 on either side"):
        evident_map(images(1, 0), images(5, 1), P)


def test_a_block_that_outweighs_the_others_is_little_evidence():
    sets = [images(8, seed) for seed in (0, 1)]
    heavy = Moments(10**6, 1, sets[0][0].mean, sets[0][0].scatter * 10**6 / sets[0][0].count)
    even = evidence_of(sets[0], sets[1], P)
    uneven = evidence_of([heavy, *sets[0][1:]], sets[1], P)
    assert even.images == pytest.approx(8)
    assert uneven.images == pytest.approx(1, abs=0.01)
    assert uneven.mean < 0.7
    assert uneven.spread < 0.3


def test_a_direction_that_is_flat_on_one_side_is_not_blown_up():
    patches = torch.randn(300, 3, generator=torch.Generator().manual_seed(0)).split(50)
    flat = [Moments.from_patches(part * torch.tensor([1.0, 1.0, 1e-3])) for part in patches]
    found = evident_map(flat, [Moments.from_patches(part) for part in patches], 1, paired=True)
    assert torch.linalg.eigvalsh(found.matrix).max() < MOST_SCALE + 1e-9
