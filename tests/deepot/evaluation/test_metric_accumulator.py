"""What is told of a version: scores, Fréchet distances and what they fell by."""

import numpy as np
import pytest
import torch

from deepot.evaluation.bootstrap import MAX_BOOTSTRAP_BLOCKS, bootstrap_mean
from deepot.evaluation.metric_accumulator import MAX_PSNR, MetricAccumulator, MetricFn, estimate_metrics
from deepot.evaluation.variants import CLEAN, RESTORED, SweepPoint
from deepot.photo.pixels import Pixels
from deepot.transport.merging import merge_in_order


def test_estimates_of_transport_that_helps(make_variants):
    scores = {
        point: MetricAccumulator() for point in (SweepPoint(CLEAN), SweepPoint(RESTORED), SweepPoint("residual", 0.0))
    }
    for seed in range(5, 11):
        photo = make_variants(seed)
        for point, score in scores.items():
            score.add(
                photo,
                point,
                3,
                MetricFn("tests.support.fake_autoencoders:edge_features"),
                [MetricFn("tests.support.fake_autoencoders:largest_error")],
            )
    clean, before, after = scores.values()
    found = dict(estimate_metrics(after, clean, before, 200))
    assert {
        "psnr",
        "ssim",
        "tests.support.fake_autoencoders:largest_error",
        "latents",
        "map 1",
        "map 2",
        "fall of map 1",
        "fall of latents",
    } <= set(found)
    assert found["fall of map 1"].low > 0.1
    assert all(e.low <= e.value <= e.high for name, e in found.items() if not np.isnan(e.low))
    assert dict(estimate_metrics(clean, clean, before, 10))["psnr"].value == MAX_PSNR
    itself = dict(estimate_metrics(clean, clean, before, 10))
    assert itself["map 1"].value == pytest.approx(0, abs=1e-9)
    assert itself["fall of map 1"].value == pytest.approx(1)
    assert np.isnan(dict(estimate_metrics(after, clean, before, 0))["psnr"].low)


def test_many_photos_are_drawn_in_blocks(make_variants):
    score, photo = MetricAccumulator(), make_variants(9)
    for _ in range(MAX_BOOTSTRAP_BLOCKS + 3):
        score.add(photo, SweepPoint(RESTORED), 1, None, [])
    assert len(score.block_moments["latents"]) == MAX_BOOTSTRAP_BLOCKS
    assert merge_in_order(score.block_moments["latents"]).images == MAX_BOOTSTRAP_BLOCKS + 3
    values = list(range(MAX_BOOTSTRAP_BLOCKS + 3))
    once = np.ones((1, MAX_BOOTSTRAP_BLOCKS), dtype=np.int64)
    assert bootstrap_mean(values, once)[0] == pytest.approx(np.mean(values))


def test_a_judge_is_put_into_evaluation_mode():
    assert MetricFn("tests.support.fake_autoencoders:edge_features")(torch.rand(1, 3, 8, 8))[1].shape == (1, 6, 3, 3)
    judge = MetricFn("tests.support.fake_autoencoders:normalised_features")
    image = torch.rand(1, 3, 8, 8)
    assert torch.equal(judge(image)[0], judge(image)[0])
    assert judge.sha256 != MetricFn("tests.support.fake_autoencoders:normalised_features:scale=2").sha256


def test_a_judge_may_reckon_in_place_on_a_grey_photo_too():
    judge = MetricFn("tests.support.fake_autoencoders:in_place_features")
    grey = Pixels(np.full((16, 16, 1), 128, np.uint8)).to_rgb()
    assert judge(grey)[0].mean() == pytest.approx(128 / 255 - 0.5, abs=1e-6)
