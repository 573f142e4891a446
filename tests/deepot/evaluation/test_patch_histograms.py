"""The sliced Wasserstein distance against sorted projections, its merge, and the order of degradations."""

import numpy as np
import pytest
import torch

from deepot.evaluation import patch_histograms
from deepot.evaluation.patch_histograms import (
    MAX_LEVELS,
    PatchHistograms,
    laplacian_levels,
    pool_counts,
    resampled_distances,
    sliced_wasserstein,
)
from deepot.inference.calibration import degrade_photo
from deepot.photo.pixels import Pixels
from deepot.restoration.degradations import load_degradation

ONCE = np.ones((1, 4), dtype=np.int64)


def make_natural_spectrum(seed, side):
    """Return (side, side, 3) uint8 with the amplitudes 1 / f of natural photos, and random phases."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])
    frequency[0, 0] = np.inf
    noise = np.fft.fft2(np.random.default_rng(seed).standard_normal((side, side, 3)), axes=(0, 1))
    image = np.fft.ifft2(noise / frequency[..., None], axes=(0, 1)).real
    return (128 + 45 * image / image.std()).clip(0, 255).astype(np.uint8)


def photos(n, degradation=None, side=64):
    """Return n images (1, 3, side, side), degraded or clean."""
    found = [Pixels(make_natural_spectrum(seed, side)) for seed in range(n)]
    if degradation:
        degrade = load_degradation(degradation)
        found = [degrade_photo(photo, degrade, np.random.default_rng(7)) for photo in found]
    return [photo.to_rgb() for photo in found]


def distances(measured, clean):
    sides = [[PatchHistograms.from_image(image) for image in images] for images in (measured, clean)]
    return sliced_wasserstein(*(pool_counts(side, np.ones((1, len(side)), dtype=np.int64)) for side in sides))[0]


def test_sliced_wasserstein_of_equal_sets_is_zero():
    found = distances(photos(2), photos(2))
    assert np.array_equal(np.isfinite(found), [True, True, True, False, False])
    assert np.nanmax(found) == 0
    assert np.nanmean(found) == 0


@pytest.mark.parametrize(
    "degradations",
    [
        ["blur:sigma=0.7", "blur:sigma=1", "blur:sigma=2"],
        ["noise:sigma=10", "noise:sigma=25", "noise:sigma=50"],
        ["jpeg:quality=60", "jpeg:quality=20", "jpeg:quality=5"],
    ],
    ids=["blur", "noise", "jpeg"],
)
def test_combined_distance_grows_with_the_degradation(degradations):
    found = [np.nanmean(distances(photos(3, degradation), photos(3))) for degradation in degradations]
    assert 0 < found[0] < found[1] < found[2]


def test_merge_of_blocks_equals_one_pass():
    blocks = [PatchHistograms.from_image(image) for image in photos(4)]
    merged = blocks[0].merge(blocks[1]).merge(blocks[2].merge(blocks[3]))
    assert torch.equal(pool_counts(blocks, ONCE)[0], merged.counts.double())
    twice = pool_counts(blocks, np.array([[2, 0, 1, 0]]))[0]
    assert torch.equal(twice, (2 * blocks[0].counts + blocks[2].counts).double())


def test_resampled_distances_equal_those_of_photos_that_are_repeated():
    clean, blurred = ([PatchHistograms.from_image(x) for x in photos(4, y)] for y in (None, "blur:sigma=1"))
    weights = np.random.default_rng(0).multinomial(4, [0.25] * 4, size=20)
    found = resampled_distances(blurred, clean, weights)
    for row, values in zip(weights, found, strict=True):
        drawn = [index for index, times in enumerate(row) for _ in range(times)]
        once = pool_counts([blurred[i] for i in drawn], ONCE), pool_counts([clean[i] for i in drawn], ONCE)
        assert np.allclose(values, sliced_wasserstein(*once)[0], equal_nan=True)


def test_distance_from_histograms_is_close_to_that_of_sorted_projections():
    clean, blurred = photos(1)[0], photos(1, "blur:sigma=1")[0]
    directions = patch_histograms._random_directions()
    found = distances([blurred], [clean])
    for index in (0, 1, 2):
        measured, reference = (
            (patch_histograms._extract_random_patches(laplacian_levels(image)[index] * 255, index) @ directions).numpy()
            for image in (blurred, clean)
        )
        exact = np.square(np.sort(measured, 0) - np.sort(reference, 0)).mean()
        assert found[index] == pytest.approx(exact / reference.var(0).mean(), rel=0.1, abs=1e-3)


def test_laplacian_levels_have_the_sizes_of_the_pyramid_and_no_mean():
    image = photos(1, side=61)[0]
    levels = laplacian_levels(image)
    assert [level.shape[-1] for level in levels] == [61, 31, 16]
    assert abs(float(levels[0].mean())) < 0.01
    assert len(laplacian_levels(torch.rand(1, 3, 600, 600))) == MAX_LEVELS
    constant = laplacian_levels(torch.full((1, 3, 33, 32), 0.5))
    assert max(float(level.abs().max()) for level in constant) < 1e-6


def test_distance_of_constant_photos_and_of_the_smallest_is_defined():
    blank = torch.full((1, 3, 64, 64), 0.5)
    assert np.nanmax(distances([blank], [blank])) == 0
    noise = (blank + 0.05 * torch.randn(blank.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    assert 1 < np.nanmean(distances([noise], [blank])) < 1000
    small = photos(1, side=16)
    found = distances(photos(1, "blur:sigma=1", side=16), small)
    assert found[0] > 0
    assert np.isnan(found[1:]).all()
