"""Areas and ramps are coarse, texture is detail, repetition goes, and a cut changes nothing beyond the radius."""

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear

from deepot.inference.cell_filters import (
    FILTER_RADIUS,
    cell_means,
    coarse,
    detail,
    fill_cells,
    remove_repetition,
)

FACTOR = 8
FACTORS = [2, 3, 4, 8, 16]


def make_image(factor=FACTOR, cells=(12, 10), seed=0):
    height, width = (count * factor for count in cells)
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def test_detail_of_areas_and_ramps_is_zero():
    ramp = torch.linspace(0, 1, 192)[:, None] + torch.linspace(-1, 2, 160)
    flat = torch.full((1, 3, 192, 160), 0.3)
    assert detail(flat, FACTOR).abs().max() < 1e-6
    inside = (..., slice(56, -56), slice(56, -56))
    assert detail(ramp + 0 * flat, FACTOR)[inside].abs().max() < 1e-4


@pytest.mark.parametrize("factor", [1, *FACTORS])
def test_detail_has_cell_means_of_zero_and_keeps_what_has(factor):
    image = make_image(factor)
    fine = detail(image, factor)
    assert cell_means(fine, factor).abs().max() < 1e-6
    torch.testing.assert_close(detail(fine, factor), fine, rtol=0, atol=1e-6)


@pytest.mark.parametrize("factor", FACTORS)
def test_coarse_has_the_cell_means_of_the_image(factor):
    image = make_image(factor) + torch.linspace(0, 3, 10 * factor)
    assert (cell_means(coarse(image, factor), factor) - cell_means(image, factor)).abs().max() < 0.05


def test_coarse_equals_the_solution_of_the_linear_system():
    """The values between which it interpolates, solved for along one axis by SciPy."""
    column = torch.randn(1, 1, 12 * FACTOR, 1, generator=torch.Generator().manual_seed(0)).expand(-1, -1, -1, FACTOR)
    means = cell_means(column, FACTOR)[0, 0, :, 0].double().numpy()
    places = np.clip((np.arange(12 * FACTOR) + 0.5) / FACTOR - 0.5, 0, 11)
    interpolate = np.array([np.interp(places, np.arange(12), unit) for unit in np.eye(12)]).T
    matrix = interpolate.reshape(12, FACTOR, 12).mean(1)
    expected = interpolate @ lsq_linear(matrix, means, tol=1e-12).x
    np.testing.assert_allclose(coarse(column, FACTOR)[0, 0, :, 0], expected, atol=0.03)


def test_cell_means_of_a_cut_cell_are_those_of_its_pixels():
    image = make_image()[..., :91, :77]
    assert cell_means(image, FACTOR).shape == (1, 3, 12, 10)
    torch.testing.assert_close(cell_means(image, FACTOR)[..., -1, -1], image[..., 88:, 72:].mean((-2, -1)))
    assert fill_cells(cell_means(image, FACTOR), FACTOR, 91, 77).shape == image.shape


@pytest.mark.parametrize("factor", FACTORS)
def test_remove_repetition_leaves_nothing_of_a_pattern_and_all_of_the_means(factor):
    tile, means = make_image(factor, (1, 1)), make_image(1, (12, 10))
    pattern = (tile - tile.mean((-2, -1), keepdim=True)).repeat(1, 1, 12, 10)
    level = fill_cells(means, factor, 12 * factor, 10 * factor)
    torch.testing.assert_close(remove_repetition(pattern + level, factor), level, rtol=0, atol=1e-5)


def test_remove_repetition_keeps_most_of_a_texture_that_does_not_repeat():
    texture = detail(make_image(FACTOR, (24, 24)), FACTOR)
    kept = remove_repetition(texture, FACTOR)
    assert (kept * texture).mean() > 0.9 * texture.square().mean()
    assert cell_means(kept, FACTOR).abs().max() < 1e-6


def test_remove_repetition_draws_no_copies_of_an_edge_beside_it():
    """An edge along a column of cells repeats from cell to cell; it must not appear in the flat cells beside it."""
    image = 0.001 * make_image(FACTOR, (16, 16))
    image[..., 66] += 0.2
    image[..., 69] -= 0.2
    beside = remove_repetition(image, FACTOR)[..., 72:88] - image[..., 72:88]
    assert beside.abs().max() < 0.005
    assert remove_repetition(image, FACTOR)[..., 66].mean() > 0.9 * 0.2 * 0.2  # a column of cells is all edge


@pytest.mark.parametrize("factor", [2, 8])
def test_filters_of_a_crop_differ_only_within_the_radius(factor):
    def both(image):
        return remove_repetition(detail(image, factor), factor)

    image = make_image(factor, (20, 9))
    expected = both(image)
    for first in (0, 3):
        part = both(image[..., first * factor :, :])
        kept = (first and first + FILTER_RADIUS) * factor
        torch.testing.assert_close(part[..., kept - first * factor :, :], expected[..., kept:, :], rtol=0, atol=1e-6)
    changed = both(image[..., 3 * factor :, :])[..., : FILTER_RADIUS * factor, :]
    assert (changed - expected[..., 3 * factor : (3 + FILTER_RADIUS) * factor, :]).abs().max() > 1e-5


def test_detail_is_linear():
    image, other = make_image(), make_image(seed=1)
    torch.testing.assert_close(
        detail(2 * image - other, FACTOR), 2 * detail(image, FACTOR) - detail(other, FACTOR), rtol=0, atol=1e-5
    )
