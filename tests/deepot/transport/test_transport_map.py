"""The map of blocks: what doubt it is fitted with, what it says of itself, its file."""

import pytest
import torch

from deepot.errors import MapError, MomentsError
from deepot.transport.gaussian import transport_matrix
from deepot.transport.moments import Moments, merge_in_order
from deepot.transport.transport_map import CalibrationKind, TransportMap, fit_map


def blocks(number, scale, seed):
    generator = torch.Generator().manual_seed(seed)
    return [Moments.from_patches(torch.randn(60, 4, generator=generator) * scale) for _ in range(number)]


def fitted(source, reference, calibration, doubt=None):
    about = {"autoencoder": "none", "autoencoder_sha256": "0", "patch_size": 1}
    return fit_map(source, reference, calibration=calibration, shrinkage_se=doubt, **about)


def test_paired_sets_get_the_closed_form_and_unpaired_ones_a_part_of_the_way():
    sides = blocks(6, 1.0, 0), blocks(6, 2.0, 1)
    paired, unpaired = (fitted(*sides, way) for way in (CalibrationKind.SELF, CalibrationKind.UNPAIRED))
    whole = transport_matrix(*(merge_in_order(side).gaussian().covariance for side in sides))
    torch.testing.assert_close(paired.components[0].matrix, whole)
    assert (paired.info.shrinkage_se, unpaired.info.shrinkage_se) == (0, CalibrationKind.UNPAIRED.default_shrinkage_se)
    share, identity = unpaired.info.shrinkage_factor, torch.eye(4, dtype=torch.float64)
    assert share == pytest.approx(1 - unpaired.info.standard_error)
    assert 0.1 < share < 0.95
    torch.testing.assert_close(unpaired.components[0].matrix - identity, share * (whole - identity))
    shifts = [each.components[0].target_mean - each.components[0].source_mean for each in (paired, unpaired)]
    torch.testing.assert_close(shifts[1], share * shifts[0])
    torch.testing.assert_close(fitted(*sides, CalibrationKind.UNPAIRED, doubt=0).components[0].matrix, whole)


def test_a_map_says_how_far_it_can_be_trusted():
    natural = blocks(8, 2.0, 0)
    soft = [Moments(each.count, 1, each.mean, each.scatter / 4) for each in natural]
    told = fitted(soft, natural, CalibrationKind.PAIRED).info
    assert told.effective_images == pytest.approx(8)
    assert told.uncertainty_summary.startswith("standard error 4% of the map, by 8.0 effective images")
    assert "used as it is" in told.uncertainty_summary
    assert "doubt 3" in fitted(soft, natural, CalibrationKind.UNPAIRED, doubt=3).info.uncertainty_summary
    assert fitted(soft[:1], natural[:1], CalibrationKind.SELF).info.uncertainty_summary.startswith("unknown")


def test_sets_of_one_kind_give_a_map_that_says_it_does_nothing():
    sides = blocks(6, 1.0, 0), blocks(6, 1.0, 1)
    found = fitted(*sides, CalibrationKind.UNPAIRED, doubt=3)
    (only,) = found.components
    torch.testing.assert_close(only.matrix, torch.eye(4, dtype=torch.float64))
    assert torch.equal(only.target_mean, only.source_mean)
    assert found.info.uncertainty_summary.startswith("none: the two sets differ by no more than chance")


@pytest.mark.parametrize("shrinkage_se", [-1.0, float("nan"), float("inf")])
def test_fit_map_invalid_shrinkage_raises(shrinkage_se):
    with pytest.raises(ValueError, match="must be a number from 0 on"):
        fitted(blocks(3, 1.0, 0), blocks(3, 2.0, 1), CalibrationKind.UNPAIRED, doubt=shrinkage_se)


def test_one_unpaired_image_is_an_error_that_names_the_way_out():
    with pytest.raises(MomentsError, match="give at least 2 on either side"):
        fitted(blocks(1, 1.0, 0), blocks(5, 1.0, 1), CalibrationKind.UNPAIRED)


def test_a_photo_that_failed_stops_no_fit():
    sides = [[Moments.empty(4), *blocks(1, scale, 0)] for scale in (1.0, 2.0)]
    assert fitted(*sides, CalibrationKind.PAIRED).info.uncertainty_summary.startswith("unknown")


def test_lists_of_different_length_are_no_pairs():
    with pytest.raises(MomentsError, match="3 restored and 2 natural images or blocks are no pairs"):
        fitted(blocks(3, 1.0, 0), blocks(2, 1.0, 1), CalibrationKind.PAIRED)


def test_the_file_keeps_everything():
    first = fitted(blocks(3, 1.0, 0), blocks(3, 2.0, 1), CalibrationKind.UNPAIRED)
    again = TransportMap.from_bytes(first.to_bytes())
    assert again.info == first.info
    assert torch.equal(again.components[0].matrix, first.components[0].matrix)
    assert again.sha256 == first.sha256
    with pytest.raises(MapError, match="fitted by another version of deepot"):
        TransportMap.from_bytes(first.to_bytes().replace(b"deepot-map-5", b"deepot-map-3"))
