"""Maps fitted from blocks of moments: how far they are shrunk, and which inputs are refused."""

import pytest
import torch

from deepot.errors import MomentsError
from deepot.transport.calibration_kind import CalibrationKind
from deepot.transport.gaussian import transport_matrix
from deepot.transport.map_fit import fit_map
from deepot.transport.merging import merge_in_order
from deepot.transport.moments import Moments
from deepot.transport.uncertainty import estimate_uncertainty


def make_blocks(number, scale, seed):
    generator = torch.Generator().manual_seed(seed)
    return [Moments.from_patches(torch.randn(60, 4, generator=generator) * scale) for _ in range(number)]


def fit(source, reference, calibration, shrinkage_se=None):
    options = {"autoencoder": "none", "autoencoder_sha256": "0", "patch_size": 1}
    return fit_map(source, reference, calibration=calibration, shrinkage_se=shrinkage_se, **options)


def mean_shift(transport):
    return transport.parameters["target_mean"] - transport.parameters["source_mean"]


def test_fit_map_is_the_closed_form_for_pairs_and_shrunk_for_unpaired_sets():
    sides = make_blocks(6, 1.0, 0), make_blocks(6, 2.0, 1)
    paired, unpaired = (fit(*sides, kind) for kind in (CalibrationKind.SELF, CalibrationKind.UNPAIRED))
    full = transport_matrix(*(merge_in_order(side).gaussian().covariance for side in sides))
    assert torch.equal(paired.parameters["matrix"], full)
    assert (paired.info.shrinkage_se, unpaired.info.shrinkage_se) == (0, CalibrationKind.UNPAIRED.default_shrinkage_se)
    factor, identity = unpaired.info.shrinkage_factor, torch.eye(4, dtype=torch.float64)
    assert 0.1 < factor < 0.99
    shrinkage = estimate_uncertainty(*sides, 1).shrinkage(1)
    assert factor == shrinkage.overall
    remaining = float(shrinkage.frequencies[0])
    torch.testing.assert_close(unpaired.parameters["matrix"] - identity, remaining * (full - identity))
    torch.testing.assert_close(mean_shift(unpaired), shrinkage.mean * mean_shift(paired))
    assert torch.equal(fit(*sides, CalibrationKind.UNPAIRED, shrinkage_se=0).parameters["matrix"], full)


def test_fit_map_records_the_uncertainty():
    natural = make_blocks(8, 2.0, 0)
    soft = [Moments(each.count, 1, each.mean, each.scatter / 4) for each in natural]
    info = fit(soft, natural, CalibrationKind.PAIRED).info
    assert info.effective_images == pytest.approx(8)
    assert info.standard_error == pytest.approx(0.04, abs=0.005)
    assert (info.kind, info.calibration) == ("gaussian", "paired")
    assert fit(soft[:1], natural[:1], CalibrationKind.SELF).info.standard_error is None


def test_fit_map_of_sets_of_one_kind_is_the_identity():
    sides = make_blocks(6, 1.0, 0), make_blocks(6, 1.0, 1)
    found = fit(*sides, CalibrationKind.UNPAIRED, shrinkage_se=3)
    torch.testing.assert_close(found.parameters["matrix"], torch.eye(4, dtype=torch.float64))
    assert torch.equal(mean_shift(found), torch.zeros(4).double())
    assert found.info.shrinkage_factor == 0


@pytest.mark.parametrize("shrinkage_se", [-1.0, float("nan"), float("inf")])
def test_fit_map_invalid_shrinkage_raises(shrinkage_se):
    with pytest.raises(ValueError, match="must be a finite number from 0 on"):
        fit(make_blocks(3, 1.0, 0), make_blocks(3, 2.0, 1), CalibrationKind.UNPAIRED, shrinkage_se)


def test_fit_map_of_one_unpaired_image_raises():
    with pytest.raises(MomentsError, match="give at least 2 in each set"):
        fit(make_blocks(1, 1.0, 0), make_blocks(5, 1.0, 1), CalibrationKind.UNPAIRED)


def test_fit_map_leaves_out_an_empty_block_with_its_pair():
    with_empty, without = (
        [[*first, *make_blocks(1, scale, 0)] for scale in (1.0, 2.0)] for first in ([Moments.empty(4)], [])
    )
    found = fit(*with_empty, CalibrationKind.PAIRED)
    assert found.info.source_images == 1
    assert found.to_bytes() == fit(*without, CalibrationKind.PAIRED).to_bytes()


def test_fit_map_of_pairs_of_different_number_raises():
    with pytest.raises(MomentsError, match="3 restored and 2 natural images or blocks cannot be paired"):
        fit(make_blocks(3, 1.0, 0), make_blocks(2, 1.0, 1), CalibrationKind.PAIRED)


@pytest.mark.parametrize("kind", CalibrationKind)
@pytest.mark.parametrize("mean", [0.0, 0.1, 1e6])
def test_fit_map_to_natural_patches_that_are_all_equal_is_refused(kind, mean):
    equal = [Moments.from_patches(torch.full((60, 4), mean, dtype=torch.float64)) for _ in range(3)]
    with pytest.raises(
        MomentsError, match=r"the 180 latent patches of the natural photos are all equal.*calibrate with"
    ):
        fit(make_blocks(3, 1.0, 0), equal, kind)


def test_fit_map_from_restored_patches_that_are_all_equal_shifts_the_mean_only():
    equal = [Moments.from_patches(torch.zeros(60, 4)) for _ in range(3)]
    fitted = fit(equal, make_blocks(3, 1.0, 0), CalibrationKind.PAIRED)
    assert torch.equal(fitted.parameters["matrix"], torch.eye(4).double())


def test_fit_map_of_sets_or_patches_of_other_dimensions_is_refused():
    blocks = make_blocks(3, 1.0, 0)
    others = [Moments.from_patches(torch.randn(60, 5)) for _ in range(3)]
    with pytest.raises(MomentsError, match="moments of dimension 4 and 5 are not those of patches of size 1"):
        fit(blocks, others, CalibrationKind.SELF)
    options = {"autoencoder": "none", "autoencoder_sha256": "0", "patch_size": 3, "calibration": CalibrationKind.SELF}
    with pytest.raises(MomentsError, match="moments of dimension 4 and 4 are not those of patches of size 3"):
        fit_map(blocks, blocks, **options)
