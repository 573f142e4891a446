"""Versions of photos are what the Enhancer makes, and intervals are what resampling whole photos gives."""

import numpy as np
import pytest
import torch

from deepot import Enhancer, load_codec
from deepot.calibrate import fit_images
from deepot.codec import as_codec
from deepot.enhance import Keep, Mode, Tiles
from deepot.evaluation import (
    CLEAN,
    CLEAN_ROUND_TRIP,
    MOST_BLOCKS,
    MOST_PSNR,
    RESTORED,
    ROUND_TRIP,
    Estimate,
    Judge,
    Point,
    Scores,
    bootstrap_distance,
    bootstrap_mean,
    draws,
    estimates,
    recentred,
    sweep,
    versions,
)
from deepot.moments import Moments, merge_in_order
from deepot.pixels import Pixels
from tests import codecs
from tests.photos import picture, soft


@pytest.fixture(scope="module")
def codec():
    return load_codec("tests.codecs:smooth", allow_code=True, dtype=torch.float32)


@pytest.fixture(scope="module")
def transport(codec):
    photos = [picture(seed) for seed in range(4)]
    return fit_images(codec, [soft(photo) for photo in photos], photos, patch_size=3)


def made(codec, transport, seed, tiles=None):
    clean = picture(seed, 61, 45)
    pixels = [Pixels.from_image(image) for image in (clean, soft(clean))]
    return versions(codec, transport.on(), *pixels, (tiles or Tiles()).plan(codec, pixels[0]))


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("alpha", [-0.5, 0.0, 0.3, 1.0, 1.5])
@pytest.mark.parametrize("tile", [1024, 32])
@pytest.mark.parametrize("keep", [(), (Keep.COLOUR,)])
def test_a_version_is_what_the_enhancer_writes(codec, transport, mode, alpha, tile, keep):
    tiles = Tiles(tile)
    enhancer = Enhancer(codec, transport, alpha=alpha, mode=mode, keep=keep, tiles=tiles)
    wanted = Pixels.from_image(enhancer(soft(picture(9, 61, 45)))).rgb()
    found = made(codec, transport, 9, tiles).image(Point(mode.value, alpha), keep)
    assert (found - wanted).abs().max() < 1e-6


@pytest.mark.parametrize("mode", list(Mode))
def test_versions_of_an_autoencoder_with_global_operations_in_tiles(mode):
    codec = as_codec(codecs.normed(), "normed", dtype=torch.float32, device="cpu")
    photos = [picture(seed) for seed in range(4)]
    transport = fit_images(codec, [soft(photo) for photo in photos], photos, patch_size=1)
    tiles = Tiles(64, overlap=24)
    clean = picture(9, 301, 245)
    pixels = [Pixels.from_image(image) for image in (clean, soft(clean))]
    plan = tiles.plan(codec, pixels[0])
    assert plan.count > 1
    wanted = Pixels.from_image(Enhancer(codec, transport, mode=mode, tiles=tiles)(soft(clean))).rgb()
    found = versions(codec, transport.on(), *pixels, plan).image(Point(mode.value, 0.0))
    assert (found - wanted).abs().max() < 0.5 / 255


def test_controls(codec, transport):
    photo = made(codec, transport, 9)
    clean = Pixels.from_image(picture(9, 61, 45)).rgb()
    restored = Pixels.from_image(soft(picture(9, 61, 45))).rgb()
    assert torch.equal(photo.image(Point(CLEAN)), clean)
    assert torch.equal(photo.image(Point(RESTORED)), restored)
    for name, start in ((ROUND_TRIP, restored), (CLEAN_ROUND_TRIP, clean)):
        padded = torch.nn.functional.pad(start, (0, 1, 0, 1), mode="replicate")
        wanted = codec.decode(codec.encode(padded))[..., :45, :61].clamp(0, 1)
        assert (photo.image(Point(name)) - wanted).abs().max() < 0.51 / 255
    torch.testing.assert_close(photo.latents_of(Point("residual", 0.0)), photo.moved_latents)
    torch.testing.assert_close(photo.latents_of(Point("plain", 1.0)), photo.latents)
    assert [str(point) for point in sweep([Mode.PLAIN], [1, 0.5, 0.5, 0])] == [
        RESTORED,
        ROUND_TRIP,
        CLEAN_ROUND_TRIP,
        "plain α=0",
        "plain α=0.5",
    ]


def test_estimates_of_transport_that_helps(codec, transport):
    scores = {point: Scores() for point in (Point(CLEAN), Point(RESTORED), Point("residual", 0.0))}
    for seed in range(5, 11):
        photo = made(codec, transport, seed)
        for point, score in scores.items():
            score.add(photo, point, 3, Judge("tests.codecs:edges"), [Judge("tests.codecs:largest_error")])
    clean, before, after = scores.values()
    found = dict(estimates(after, clean, before, 200))
    assert {
        "psnr",
        "ssim",
        "tests.codecs:largest_error",
        "latents",
        "map 1",
        "map 2",
        "fall of map 1",
        "fall of latents",
    } <= set(found)
    assert found["fall of map 1"].low > 0.1
    assert all(e.low <= e.value <= e.high for name, e in found.items() if not np.isnan(e.low))
    assert dict(estimates(clean, clean, before, 10))["psnr"].value == MOST_PSNR
    itself = dict(estimates(clean, clean, before, 10))
    assert itself["map 1"].value == pytest.approx(0, abs=1e-9)
    assert itself["fall of map 1"].value == pytest.approx(1)
    assert np.isnan(dict(estimates(after, clean, before, 0))["psnr"].low)


def test_replicates_are_what_drawing_whole_photos_gives():
    generator = torch.Generator().manual_seed(0)
    sides = [
        [
            Moments.from_patches(torch.randn(40 + 5 * i, 6, generator=generator) * (1 + 0.2 * s) + 0.1 * i)
            for i in range(5)
        ]
        for s in (0, 1)
    ]
    values = [1.0, 5.0, 2.0, 8.0, 3.0]
    counts = draws(5, 20)
    assert counts.shape == (20, 5)
    assert (counts.sum(1) == 5).all()
    distances, means = bootstrap_distance(*sides, counts), bootstrap_mean(values, counts)
    for row, distance, mean in zip(counts, distances, means, strict=True):
        drawn = [index for index, times in enumerate(row) for _ in range(times)]
        repeated = Scores(sets={"x": [sides[0][index] for index in drawn]})
        truth = Scores(sets={"x": [sides[1][index] for index in drawn]})
        assert distance == pytest.approx(repeated.distance("x", truth), rel=1e-6)
        assert mean == pytest.approx(np.mean([values[index] for index in drawn]))


def test_dead_features_are_no_harm():
    patches = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    patches[:, 2] = 0
    mine, clean = Moments.from_patches(patches * 1.5), Moments.from_patches(patches)
    fast = bootstrap_distance([mine], [clean], np.array([[1]]))[0]
    assert fast == pytest.approx(Scores(sets={"x": [mine]}).distance("x", Scores(sets={"x": [clean]})), rel=1e-4)


def test_many_photos_are_drawn_in_blocks(codec, transport):
    score, photo = Scores(), made(codec, transport, 9)
    for _ in range(MOST_BLOCKS + 3):
        score.add(photo, Point(RESTORED), 1, None, [])
    assert len(score.sets["latents"]) == MOST_BLOCKS
    assert merge_in_order(score.sets["latents"]).images == MOST_BLOCKS + 3
    values = list(range(MOST_BLOCKS + 3))
    once = np.ones((1, MOST_BLOCKS), dtype=np.int64)
    assert bootstrap_mean(values, once)[0] == pytest.approx(np.mean(values))


def test_intervals_hold_what_other_photos_would_give():
    """What other sets as small would give: not the true distance, which all of them overrate."""
    generator = torch.Generator().manual_seed(0)

    def photos(shift):
        means = 0.6 * torch.randn(16, 5, generator=generator)
        return [Moments.from_patches(mean + shift + torch.randn(60, 5, generator=generator)) for mean in means]

    def interval(mine, clean):
        value = Scores(sets={"x": mine}).distance("x", Scores(sets={"x": clean}))
        return Estimate.of(value, recentred(bootstrap_distance(mine, clean, draws(16, 100)), value))

    found = [interval(photos(0.5), photos(0.0)) for _ in range(40)]
    middle = np.median([each.value for each in found])
    assert all(each.low <= each.value <= each.high for each in found)
    assert np.mean([each.low <= middle <= each.high for each in found]) > 0.8


def test_too_little_for_a_covariance_is_no_replicate():
    one = Moments.from_patches(torch.randn(1, 3))
    many = Moments.from_patches(torch.randn(9, 3))
    found = bootstrap_distance([one, many], [one, many], np.array([[2, 0], [0, 2]]))
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(0, abs=1e-9)
    assert np.isnan(Estimate.of(1.0, np.array([np.nan])).low)


def test_a_judge_is_put_into_evaluation_mode():
    assert Judge("tests.codecs:edges")(torch.rand(1, 3, 8, 8))[1].shape == (1, 6, 3, 3)
    judge = Judge("tests.codecs:normalised")
    image = torch.rand(1, 3, 8, 8)
    assert torch.equal(judge(image)[0], judge(image)[0])
    assert judge.sha256 != Judge("tests.codecs:normalised:scale=2").sha256
