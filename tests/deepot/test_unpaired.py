"""Unpaired sets: what chance explains is left alone, what it cannot explain is moved."""

import pytest
import torch

from deepot.errors import MomentsError
from deepot.moments import Moments
from deepot.unpaired import MOST_SCALE, evident_map

D = 12


def images(number, seed, fine=1.0, shift=0.0):
    """Moments of images that differ in mean and contrast; `fine` and `shift` change the last half of the values."""
    generator = torch.Generator().manual_seed(seed)
    scale = torch.linspace(3, 0.5, D, dtype=torch.float64)
    result = []
    for _ in range(number):
        mean = torch.randn(D, generator=generator) * scale * 0.5
        contrast = 2 ** (0.7 * torch.randn(1, generator=generator))
        patches = mean + contrast * scale * torch.randn(200, D, generator=generator)
        patches[:, D // 2 :] = patches[:, D // 2 :] * fine + shift
        result.append(Moments.from_patches(patches))
    return result


@pytest.mark.parametrize("seed", range(5))
def test_sets_of_one_kind_are_left_alone(seed):
    found = evident_map(images(12, seed), images(12, seed + 100), doubt=4)
    off = (found.matrix - torch.eye(D, dtype=torch.float64)).norm() / D**0.5
    assert off < 0.1
    assert (found.target_mean - found.source_mean).norm() < 1.0
    assert found.spread_evidence < 0.25
    assert found.mean_evidence < 0.25


def test_a_difference_beyond_chance_is_undone():
    found = evident_map(images(16, 0, fine=0.25), images(16, 1), doubt=2)
    values = torch.linalg.eigvalsh(found.matrix)
    assert (values > 0).all()
    fine = found.matrix[D // 2 :, D // 2 :].diagonal()
    coarse = found.matrix[: D // 2, : D // 2].diagonal()
    assert (fine > 2).all()
    assert (fine < 6).all()
    assert (coarse - 1).abs().max() < 0.5


def test_a_shift_beyond_chance_is_undone_and_more_images_are_more_evidence():
    few, many = (evident_map(images(number, 0, shift=-0.5), images(number, 1), doubt=4) for number in (3, 48))
    assert few.mean_evidence < many.mean_evidence
    shift = (many.target_mean - many.source_mean)[D // 2 :]
    assert (shift - 0.5).abs().max() < 0.3


def test_doubt_only_ever_draws_nearer_to_the_identity():
    sides = images(10, 0, fine=0.6), images(10, 1)
    off = [
        (evident_map(*sides, doubt).matrix - torch.eye(D, dtype=torch.float64)).norm() for doubt in (0, 1, 2, 4, 1e9)
    ]
    assert off == sorted(off, reverse=True)
    assert off[-1] < 1e-9


def test_directions_without_variance_are_left_alone():
    sides = [
        [Moments.from_patches(torch.randn(50, 3) * torch.tensor([1.0, 1.0, 0.0])) for _ in range(6)] for _ in range(2)
    ]
    found = evident_map(*sides, doubt=1)
    assert torch.isfinite(found.matrix).all()
    torch.testing.assert_close(found.matrix[2], torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64), rtol=0, atol=1e-9)


def test_one_image_is_no_evidence():
    with pytest.raises(MomentsError, match="at least 2 on either side"):
        evident_map(images(1, 0), images(5, 1), doubt=1)


def test_a_block_that_outweighs_the_others_is_little_evidence():
    sets = [images(8, seed) for seed in (0, 1)]
    heavy = Moments(10**6, 1, sets[0][0].mean, sets[0][0].scatter * 10**6 / sets[0][0].count)
    even, uneven = (evident_map([first, *sets[0][1:]], sets[1], doubt=1) for first in (sets[0][0], heavy))
    assert uneven.mean_evidence <= even.mean_evidence + 0.1
    assert uneven.mean_evidence < 0.3


def test_a_direction_that_is_flat_on_one_side_is_not_blown_up():
    patches = torch.randn(300, 3, generator=torch.Generator().manual_seed(0)).split(50)
    flat = [Moments.from_patches(part * torch.tensor([1.0, 1.0, 0.0])) for part in patches]
    found = evident_map(flat, [Moments.from_patches(part) for part in patches], doubt=1)
    assert torch.linalg.eigvalsh(found.matrix).max() < MOST_SCALE + 1e-9
