"""The map between mixtures: what it does to the classes, what it refuses, its file, and photos through it."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import deepot
from deepot.autoencoder import as_autoencoder
from deepot.errors import MapError, MomentsError, SpecError
from deepot.inference.enhancer import Enhancer
from deepot.inference.tile_options import TileOptions
from deepot.transport.binned_moments import BinnedMoments, compute_binned_patch_moments
from deepot.transport.calibration_kind import CalibrationKind
from deepot.transport.gaussian import Affine
from deepot.transport.map_fit import fit_map
from deepot.transport.merging import merge_in_order
from deepot.transport.mixture_operator import MixtureTransport
from deepot.transport.moments import Moments
from deepot.transport.patch_moments import compute_patch_moments
from deepot.transport.patch_operator import detail_energy, extract_patches
from deepot.transport.transport_map import TransportMap
from deepot.transport.uncertainty import estimate_uncertainty
from tests.deepot.transport.test_binned_moments import make_latents
from tests.support import fake_autoencoders
from tests.support.photos import make_photo, soften

IDENTITY = {"autoencoder": "none", "autoencoder_sha256": "0"}


def fit_mixture(sources, targets, components, calibration=CalibrationKind.PAIRED, patch_size=3, **options):
    """The map between the latents of some photos and of some others."""
    sides = [[compute_binned_patch_moments(z, patch_size) for z in side] for side in (sources, targets)]
    return fit_map(
        *([photo.moments() for photo in side] for side in sides),
        **IDENTITY,
        patch_size=patch_size,
        calibration=calibration,
        kind=f"mixture:components={components}",
        statistics=tuple(merge_in_order(side) for side in sides),
        **options,
    )


def affines(transport):
    """The maps of the classes."""
    return [Affine(*fields) for fields in zip(*(transport.parameters[name] for name in Affine._fields), strict=True)]


def blur(z):
    return F.avg_pool2d(F.pad(z, (1,) * 4, mode="replicate"), 3, stride=1) - 0.5


@pytest.fixture(scope="module")
def target():
    return make_latents(height=60)


@pytest.fixture(scope="module")
def mixture(target):
    return fit_mixture([blur(target)], [target], 3)


def test_fit_of_one_class_equals_the_gaussian_map(target):
    (one,) = affines(fit_mixture([blur(target)], [target], 1))
    sides = [[compute_binned_patch_moments(z, 3).moments()] for z in (blur(target), target)]
    single = fit_map(*sides, **IDENTITY, patch_size=3, calibration=CalibrationKind.PAIRED)
    for name, value in one._asdict().items():
        torch.testing.assert_close(value, single.parameters[name])


def test_fit_gives_each_class_the_mean_and_covariance_of_its_counterpart(target, mixture):
    source, natural = (compute_binned_patch_moments(z, 3).quantile_classes(3) for z in (blur(target), target))
    for affine, before, after in zip(affines(mixture), source.gaussians, natural.gaussians, strict=True):
        torch.testing.assert_close(affine.matrix @ before.covariance @ affine.matrix.mT, after.covariance)
        torch.testing.assert_close(affine.matrix @ before.mean + affine.bias(), after.mean)


def test_operator_gives_patches_the_covariances_of_the_natural_classes():
    """The operator sorts each patch by itself: what is left is how a bound within a bin is placed."""
    target = make_latents(height=300, width=100)
    transport = fit_mixture([blur(target)], [target], 3)
    patches = extract_patches(blur(target).double(), 3)
    maps, bounds = [(affine.matrix, affine.bias()) for affine in affines(transport)], transport.parameters["bounds"]
    transported = MixtureTransport(maps, bounds, 3, dtype=torch.float64)._transport_patches(patches)
    number = torch.bucketize(detail_energy(patches, 3), bounds)
    for each, natural in enumerate(compute_binned_patch_moments(target, 3).quantile_classes(3).gaussians):
        found = Moments.from_patches(transported[number == each]).gaussian()
        assert float((found.covariance - natural.covariance).norm() / natural.covariance.norm()) < 0.06


def test_fit_of_equal_sets_gives_the_identity(target):
    transport = fit_mixture([target], [target], 3)
    torch.testing.assert_close(transport.operator_on()(target), target, rtol=1e-4, atol=1e-4)


def test_fit_shrinks_every_class_alike():
    photos = [make_latents(seed) for seed in range(4)]
    full, shrunk = (fit_mixture(map(blur, photos), photos, 3, CalibrationKind.SELF, shrinkage_se=se) for se in (0, 2.0))
    sides = [[compute_patch_moments(each, 3) for each in side] for side in (map(blur, photos), photos)]
    shrinkage = estimate_uncertainty(*sides, 3, paired=True).shrinkage(2.0)
    assert 0 < shrinkage.overall < 1
    assert shrunk.info.shrinkage_factor == pytest.approx(shrinkage.overall)
    for part, whole in zip(affines(shrunk), affines(full), strict=True):
        torch.testing.assert_close(part.matrix, shrinkage.shrink_matrix(whole.matrix))
        torch.testing.assert_close(
            part.target_mean - part.source_mean, shrinkage.mean * (whole.target_mean - whole.source_mean)
        )


def test_keep_mean_leaves_the_mean_of_every_class(mixture):
    for affine in affines(mixture):
        kept = affine.matrix @ affine.source_mean + affine.bias(keep_mean=True)
        torch.testing.assert_close(kept, affine.source_mean)


def test_operator_on_keep_mean_differs_from_the_map_only_by_the_mean_shifts(target, mixture):
    parameters = mixture.parameters | {"target_mean": mixture.parameters["source_mean"]}
    unshifted = TransportMap(parameters, mixture.reference, mixture.info).operator_on()(target)
    assert torch.equal(mixture.operator_on(keep_mean=True)(target), unshifted)


def test_file_round_trip_keeps_everything(target, mixture):
    again = TransportMap.from_bytes(mixture.to_bytes())
    assert (again.info, again.info.kind, again.sha256) == (mixture.info, "mixture:components=3", mixture.sha256)
    assert torch.equal(again.operator_on()(target), mixture.operator_on()(target))


@pytest.mark.parametrize("options", ["components=2", "components=1e99", "components=inf"])
def test_from_bytes_with_another_number_of_classes_raises(mixture, options):
    data = mixture.to_bytes()
    length = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + length].replace(b"components=3", options.encode())
    with pytest.raises(MapError, match=r"^x\.map is "):
        TransportMap.from_bytes(len(header).to_bytes(8, "little") + header + data[8 + length :], "x.map")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"components": 0}, SpecError, "mixture components is 0, it must be a whole number from 1 on"),
        ({"components": 2.5}, SpecError, "mixture components is 2.5, it must be a whole number from 1 on"),
        ({"components": 3, "patch_size": 1}, ValueError, "patches of size 1 have none: use patch_size 3"),
        (
            {"components": 3, "calibration": CalibrationKind.UNPAIRED, "shrinkage_se": 0},
            ValueError,
            "calibrate with calibration.degradation",
        ),
    ],
)
def test_fit_of_refused_settings_raises(changes, error, message):
    with pytest.raises(error, match=message):
        fit_mixture([make_latents()], [make_latents()], **changes)


def test_fit_without_binned_moments_raises():
    moments = [compute_binned_patch_moments(make_latents(), 3).moments()]
    options = {"patch_size": 3, "calibration": CalibrationKind.PAIRED, "kind": "mixture:components=3"}
    with pytest.raises(ValueError, match="is fitted from BinnedMoments: pass them as statistics"):
        fit_map(moments, moments, **IDENTITY, **options)


@pytest.fixture(scope="module")
def autoencoder():
    return as_autoencoder(fake_autoencoders.smooth(), "smooth", dtype=torch.float32, device="cpu")


@pytest.fixture(scope="module")
def photo_map(autoencoder):
    natural = [make_photo(seed, 160, 120) for seed in range(3)]
    return deepot.fit_images(autoencoder, map(soften, natural), natural, kind="mixture:components=3")


def test_fit_images_equals_the_closed_form_of_each_class_bit_for_bit(autoencoder, photo_map):
    """The one interface gives what its parts give: statistics merged in the order of the photos, one map a class."""
    natural = [make_photo(seed, 160, 120) for seed in range(3)]
    sides = []
    for images in (list(map(soften, natural)), natural):
        latents = [autoencoder.encode(deepot.Pixels.from_image(image).to_rgb()) for image in images]
        merged = merge_in_order(compute_binned_patch_moments(z, 3) for z in latents)
        assert isinstance(merged, BinnedMoments)
        sides.append(merged.quantile_classes(3))
    assert torch.equal(photo_map.parameters["bounds"], sides[0].bounds)
    for found, source, reference in zip(affines(photo_map), sides[0].gaussians, sides[1].gaussians, strict=True):
        assert torch.equal(found.matrix, deepot.transport_matrix(source.covariance, reference.covariance))
        assert torch.equal(found.source_mean, source.mean)
        assert torch.equal(found.target_mean, reference.mean)


def test_enhancer_with_a_mixture_changes_photos_alike_in_tiles(autoencoder, photo_map):
    assert (photo_map.info.kind, photo_map.info.source_images) == ("mixture:components=3", 3)
    assert photo_map.parameters["matrix"].shape == (3, 36, 36)
    image = soften(make_photo(9, 150, 110))
    at_once = np.asarray(Enhancer(autoencoder, photo_map)(image)).astype(int)
    tiled = np.asarray(Enhancer(autoencoder, photo_map, tiles=TileOptions(64))(image)).astype(int)
    assert (at_once != np.asarray(image)).mean() > 0.3
    assert np.abs(at_once - tiled).max() <= 1
    for size in ((1, 1), (2, 7)):
        assert Enhancer(autoencoder, photo_map, preserve="mean")(image.resize(size)).size == size
    np.testing.assert_array_equal(np.asarray(Enhancer(autoencoder, photo_map, alpha=1)(image)), np.asarray(image))


def test_reference_and_uncertainty_are_those_of_the_gaussian_map(autoencoder, photo_map):
    natural = [make_photo(seed, 160, 120) for seed in range(3)]
    single = deepot.fit_images(autoencoder, map(soften, natural), natural)
    torch.testing.assert_close(photo_map.reference.covariance, single.reference.covariance)
    assert photo_map.info.wasserstein2 == pytest.approx(single.info.wasserstein2)
    assert photo_map.info.uncertainty_summary == single.info.uncertainty_summary


def test_fit_images_with_too_few_patches_raises(autoencoder):
    with pytest.raises(MomentsError, match="or fewer components"):
        deepot.fit_images(autoencoder, [make_photo(0, 8, 8)], [make_photo(0, 8, 8)], kind="mixture:components=3")
