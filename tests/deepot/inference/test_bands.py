"""The bands add up to the change, gains scale them one by one, and only the first one has cell means."""

import pytest
import torch

from deepot.inference.bands import band_sides, luma_difference, reference_band, scale_bands, split_bands
from deepot.inference.cell_filters import FILTER_RADIUS, cell_means, coarse, detail
from deepot.transport import BandGains
from tests.deepot.inference.test_cell_filters import make_image

FACTORS = [1, 2, 3, 4, 6, 8, 16]


def make_gains(factor, first=1.0, others=1.0):
    gains = (first, *[others] * len(band_sides(factor)))
    return BandGains(gains, gains)


@pytest.mark.parametrize("factor", FACTORS)
def test_bands_add_up_to_the_change(factor):
    change = make_image(factor)
    bands = split_bands(change, factor)
    assert bands.shape == (2, len(band_sides(factor)) + 1, *change.shape)
    torch.testing.assert_close(bands.sum((0, 1)), change)
    torch.testing.assert_close(bands[0].sum(0), luma_difference(change))


@pytest.mark.parametrize("factor", FACTORS)
def test_reference_band_is_an_octave_coarser_than_the_finer_bands(factor):
    image = make_image(2 * factor)
    finer = split_bands(image, factor)[0, 1:]
    everything = coarse(luma_difference(image), 2 * factor) + reference_band(image, factor) + finer.sum(0)
    torch.testing.assert_close(everything, luma_difference(image))


@pytest.mark.parametrize("factor", FACTORS)
def test_gains_of_one_keep_the_change_but_for_what_coarse_leaves_of_the_cell_means(factor):
    change = make_image(factor)
    kept = scale_bands(change, factor, make_gains(factor))
    assert (kept - change).abs().max() < 0.05
    torch.testing.assert_close(kept, split_bands(change, factor)[:, 0].sum(0) + detail(change, factor))


@pytest.mark.parametrize("factor", FACTORS)
def test_without_the_first_band_it_is_the_detail(factor):
    change = make_image(factor)
    torch.testing.assert_close(scale_bands(change, factor, make_gains(factor, 0.0)), detail(change, factor))


@pytest.mark.parametrize("factor", FACTORS)
def test_only_the_first_band_has_cell_means(factor):
    change = make_image(factor)
    gains = BandGains((0.0, *[1.7] * len(band_sides(factor))), (0.0, *[0.4] * len(band_sides(factor))))
    assert cell_means(scale_bands(change, factor, gains), factor).abs().max() < 1e-6


@pytest.mark.parametrize("index", range(4))
def test_each_gain_scales_its_own_band(index):
    change = make_image()
    gains = [0.0] * 4
    gains[index] = 2.0
    for channel, scaled in enumerate((BandGains(tuple(gains), (0.0,) * 4), BandGains((0.0,) * 4, tuple(gains)))):
        band = split_bands(change, 8)[channel, index]
        expected = 2 * (band if index == 0 else detail(band, 8))
        # what `coarse` leaves of a band's cell means is taken off cell by cell instead of smoothly
        assert (scale_bands(change, 8, scaled) - expected).abs().max() < 0.05


def test_cut_at_a_cell_changes_nothing_beyond_the_radius():
    change, gains = make_image(8, (24, 20)), BandGains((0.3, 1.0, 1.4, 1.2), (0.1, 1.0, 1.0, 1.0))
    margin = FILTER_RADIUS * 8
    whole = scale_bands(change, 8, gains)
    part = scale_bands(change[..., 32:, 24:], 8, gains)
    torch.testing.assert_close(part[..., margin:, margin:], whole[..., 32 + margin :, 24 + margin :])


def test_wrong_number_of_gains_is_refused():
    with pytest.raises(ValueError, match="there are 2 gains for 4 bands of cells of 8 pixels"):
        scale_bands(make_image(), 8, BandGains((1.0, 1.0), (1.0, 1.0)))
