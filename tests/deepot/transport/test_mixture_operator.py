"""The map between mixtures: its operator, what it does to the classes, its file."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

import deepot
from deepot.autoencoder import as_autoencoder
from deepot.errors import MapError, MomentsError
from deepot.inference.enhancer import Enhancer
from deepot.inference.tile_options import TileOptions
from deepot.transport.binned_moments import compute_binned_patch_moments
from deepot.transport.mixture_fit import fit_mixture_map
from deepot.transport.mixture_operator import MixtureTransport
from deepot.transport.moments import Moments
from deepot.transport.patch_operator import PatchTransport, detail_energy, extract_patches
from deepot.transport.transport_map import CalibrationKind, TransportMap, fit_map
from tests.deepot.transport.test_binned_moments import latents
from tests.deepot.transport.test_patch_operator import random_map
from tests.support import fake_autoencoders as codecs
from tests.support import naive_transport as reference
from tests.support.photos import make_photo, soften


def between(energy, classes):
    """Bounds in the widest gaps near the quantiles, so that rounding moves no patch to another class."""
    ordered = energy.sort().values.clamp(min=1e-6)
    bounds = []
    for number in range(1, classes):
        place = len(ordered) * number // classes
        window = range(max(1, place - 3), min(len(ordered), place + 4))
        widest = max(window, key=lambda at: float(ordered[at] / ordered[at - 1]))
        bounds.append((ordered[widest - 1] * ordered[widest]).sqrt())
    return torch.stack(bounds)


@given(st.sampled_from([3, 5]), st.integers(1, 3), st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_the_operator_equals_unfold_map_fold_everywhere(patch_size, channels, height, width, seed):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(2, channels, height, width, generator=generator, dtype=torch.float64)
    padded = F.pad(z, (patch_size // 2,) * 4, mode="replicate")
    bounds = between(detail_energy(extract_patches(padded, patch_size), patch_size), 3)
    maps = [random_map(channels, patch_size, generator) for _ in range(len(bounds) + 1)]
    expected = reference.transport_mixture(z, maps, bounds, patch_size)
    exact = MixtureTransport(maps, bounds, patch_size, dtype=torch.float64)(z)
    torch.testing.assert_close(exact, expected, rtol=1e-10, atol=1e-10)
    fast = MixtureTransport(maps, bounds, patch_size)(z.float())
    torch.testing.assert_close(fast.double(), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_bands_change_nothing_but_the_last_bits(monkeypatch, generator):
    z = latents(height=25, width=21).repeat(3, 1, 1, 1)
    maps = [random_map(2, 3, generator) for _ in range(3)]
    operator = MixtureTransport(maps, torch.tensor([0.1, 1.0]), 3)
    at_once = operator(z)
    for rows in (1, 2, 7):
        monkeypatch.setattr("deepot.transport.mixture_operator.MAX_BAND_VALUES", 3 * 18 * 21 * rows)
        torch.testing.assert_close(operator(z), at_once)


def test_equal_maps_give_the_convolution(generator):
    matrix, bias = random_map(2, 3, generator)
    one = PatchTransport(matrix, bias, 3)(latents())
    three = MixtureTransport([(matrix, bias)] * 3, torch.tensor([0.1, 1.0]), 3)(latents())
    torch.testing.assert_close(three, one, rtol=1e-5, atol=1e-4)


def fitted(source, target, components, calibration=CalibrationKind.PAIRED, patch_size=3, **about):
    """The map between two photos' latents."""
    sides = [compute_binned_patch_moments(z, patch_size) for z in (source, target)]
    single = fit_map(
        *([side.total()] for side in sides),
        autoencoder="none",
        autoencoder_sha256="0",
        patch_size=patch_size,
        calibration=calibration,
        **about,
    )
    return fit_mixture_map(single, *sides, components)


def blurred(z):
    return F.avg_pool2d(F.pad(z, (1,) * 4, mode="replicate"), 3, stride=1) - 0.5


def test_a_mixture_of_one_is_the_single_map():
    target = latents(height=60)
    (one,) = fitted(blurred(target), target, 1).components
    sides = [compute_binned_patch_moments(z, 3).total() for z in (blurred(target), target)]
    about = {"autoencoder": "none", "autoencoder_sha256": "0", "patch_size": 3, "calibration": CalibrationKind.PAIRED}
    (single,) = fit_map(*([side] for side in sides), **about).components
    for mine, theirs in zip(one, single, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_each_class_gets_the_mean_and_covariance_of_its_counterpart():
    target = latents(height=60)
    transport = fitted(blurred(target), target, 3)
    source, natural = (compute_binned_patch_moments(z, 3).quantile_classes(3) for z in (blurred(target), target))
    for part, before, after in zip(transport.components, source.gaussians, natural.gaussians, strict=True):
        torch.testing.assert_close(part.matrix @ before.covariance @ part.matrix.mT, after.covariance)
        torch.testing.assert_close(part.matrix @ before.mean + part.bias(), after.mean)


def test_moved_patches_have_the_classes_of_natural_ones():
    """As the operator sorts them, each patch by itself: what is left is how a bound within a level is placed."""
    target = latents(height=300, width=100)
    transport = fitted(blurred(target), target, 3)
    patches = extract_patches(blurred(target).double(), 3)
    maps = [(part.matrix, part.bias()) for part in transport.components]
    moved = MixtureTransport(maps, transport.bounds, 3, dtype=torch.float64)._transport_patches(patches)
    number = torch.bucketize(detail_energy(patches, 3), transport.bounds)
    for each, natural in enumerate(compute_binned_patch_moments(target, 3).quantile_classes(3).gaussians):
        found = Moments.from_patches(moved[number == each]).gaussian()
        assert float((found.covariance - natural.covariance).norm() / natural.covariance.norm()) < 0.06


def test_equal_sets_give_the_identity():
    z = latents(height=60)
    torch.testing.assert_close(fitted(z, z, 3).operator_on()(z), z, rtol=1e-4, atol=1e-4)


def test_doubt_takes_every_class_a_part_of_the_way():
    photos = [latents(seed) for seed in range(4)]
    sides = [[compute_binned_patch_moments(z, 3) for z in side] for side in (map(blurred, photos), photos)]
    about = {"autoencoder": "none", "autoencoder_sha256": "0", "patch_size": 3, "calibration": CalibrationKind.SELF}
    single, doubted = (
        fit_map(*([each.total() for each in s] for s in sides), shrinkage_se=d, **about) for d in (0, 2.0)
    )
    wholes = [side[0].merge(side[1]).merge(side[2]).merge(side[3]) for side in sides]
    full, part = (fit_mixture_map(each, *wholes, 3) for each in (single, doubted))
    assert 0 < part.info.shrinkage_factor < 1
    for mine, whole in zip(part.components, full.components, strict=True):
        torch.testing.assert_close(mine.matrix, torch.eye(18).double().lerp(whole.matrix, part.info.shrinkage_factor))
        torch.testing.assert_close(
            mine.target_mean - mine.source_mean, part.info.shrinkage_factor * (whole.target_mean - whole.source_mean)
        )


def test_without_the_mean_shift_the_mean_of_a_class_stays():
    target = latents(height=60)
    for part in fitted(blurred(target), target, 3).components:
        torch.testing.assert_close(part.matrix @ part.source_mean + part.bias(keep_mean=True), part.source_mean)


def test_the_file_keeps_everything_and_a_single_map_has_the_format_it_had():
    target = latents(height=60)
    first = fitted(blurred(target), target, 3)
    again = TransportMap.from_bytes(first.to_bytes())
    assert (again.info, again.info.mixture_components, again.sha256) == (first.info, 3, first.sha256)
    assert torch.equal(again.operator_on()(target), first.operator_on()(target))
    assert b"deepot-map-5" in fitted(blurred(target), target, 1).to_bytes()
    with pytest.raises(MapError, match="fitted by another version of deepot"):
        TransportMap.from_bytes(first.to_bytes().replace(b"deepot-map-6", b"deepot-map-9"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"components": 0}, "mixture components is 0, it must be 1 or more"),
        ({"components": 3, "patch_size": 1}, "patches of size 1 have none: use patch_size 3"),
        (
            {"components": 3, "calibration": CalibrationKind.UNPAIRED, "shrinkage_se": 0},
            "calibrate with calibration.degradation",
        ),
    ],
)
def test_what_cannot_be_fitted_is_said(changes, message):
    with pytest.raises(ValueError, match=message):
        fitted(latents(), latents(), **changes)


@pytest.fixture(scope="module")
def codec():
    return as_autoencoder(codecs.smooth(), "smooth", dtype=torch.float32, device="cpu")


@pytest.fixture(scope="module")
def transport(codec):
    natural = [make_photo(seed, 160, 120) for seed in range(3)]
    return deepot.fit_images(codec, map(soften, natural), natural, components=3)


def test_images_go_through_and_tiles_change_nothing(codec, transport):
    assert (transport.info.mixture_components, len(transport.components), transport.info.source_images) == (3, 3, 3)
    image = soften(make_photo(9, 150, 110))
    whole = np.asarray(Enhancer(codec, transport)(image)).astype(int)
    tiled = np.asarray(Enhancer(codec, transport, tiles=TileOptions(64))(image)).astype(int)
    assert (whole != np.asarray(image)).mean() > 0.3
    assert np.abs(whole - tiled).max() <= 1
    for size in ((1, 1), (2, 7)):
        assert Enhancer(codec, transport, preserve="mean")(image.resize(size)).size == size
    np.testing.assert_array_equal(np.asarray(Enhancer(codec, transport, alpha=1)(image)), np.asarray(image))


def test_the_reference_is_the_single_gaussian(codec, transport):
    natural = [make_photo(seed, 160, 120) for seed in range(3)]
    single = deepot.fit_images(codec, map(soften, natural), natural)
    torch.testing.assert_close(transport.reference.covariance, single.reference.covariance)
    assert transport.info.wasserstein2 == pytest.approx(single.info.wasserstein2)
    assert transport.info.uncertainty_summary == single.info.uncertainty_summary


def test_too_few_patches_for_so_many_components(codec):
    with pytest.raises(MomentsError, match="or fewer components"):
        deepot.fit_images(codec, [make_photo(0, 8, 8)], [make_photo(0, 8, 8)], components=3)
