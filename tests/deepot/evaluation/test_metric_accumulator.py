"""Metrics and Fréchet distances of points, and their estimates."""

import numpy as np
import pytest

from deepot.evaluation.bootstrap import MAX_BOOTSTRAP_BLOCKS, bootstrap_mean
from deepot.evaluation.metric_accumulator import MAX_PSNR, MetricAccumulator, estimate_metrics
from deepot.evaluation.metric_fn import MetricFn
from deepot.evaluation.patch_histograms import PatchHistograms
from deepot.evaluation.sweep import CLEAN, RESTORED, SweepPoint
from deepot.transport.merging import merge_in_order


def test_estimate_metrics_of_a_map_that_helps_shows_a_reduction(make_variants):
    accumulators = {
        point: MetricAccumulator() for point in (SweepPoint(CLEAN), SweepPoint(RESTORED), SweepPoint("residual", 0.0))
    }
    for seed in range(5, 11):
        variants = make_variants(seed)
        for point, accumulator in accumulators.items():
            accumulator.add(
                variants,
                point,
                3,
                MetricFn("tests.support.fake_metrics:edge_features"),
                [MetricFn("tests.support.fake_metrics:largest_error")],
            )
    clean, before, after = accumulators.values()
    found = dict(estimate_metrics(after, clean, before, 50))
    assert {
        "psnr",
        "ssim",
        "tests.support.fake_metrics:largest_error",
        "latents",
        "swd",
        "swd level 1",
        "reduction of swd",
        "lsd",
        "map 1",
        "map 2",
        "reduction of map 1",
        "reduction of latents",
    } <= set(found)
    assert found["reduction of map 1"].low > 0.1
    assert found["reduction of swd"].low > 0.05
    assert found["lsd"].high < dict(estimate_metrics(before, clean, before, 50))["lsd"].low
    assert np.isnan(found["niqe"].value)
    assert all(e.low <= e.value <= e.high for name, e in found.items() if not np.isnan(e.low))
    assert dict(estimate_metrics(clean, clean, before, 10))["psnr"].value == MAX_PSNR
    itself = dict(estimate_metrics(clean, clean, before, 10))
    assert itself["swd"].value == itself["lsd"].value == 0
    assert itself["map 1"].value == pytest.approx(0, abs=1e-9)
    assert itself["reduction of map 1"].value == pytest.approx(1)
    assert np.isnan(dict(estimate_metrics(after, clean, before, 0))["psnr"].low)


def test_add_of_more_photos_than_blocks_merges_them(make_variants):
    accumulator, variants = MetricAccumulator(), make_variants(9)
    for _ in range(MAX_BOOTSTRAP_BLOCKS + 3):
        accumulator.add(variants, SweepPoint(RESTORED), 1, None, [])
    assert len(accumulator.block_moments["latents"]) == MAX_BOOTSTRAP_BLOCKS
    assert merge_in_order(accumulator.block_moments["latents"]).images == MAX_BOOTSTRAP_BLOCKS + 3
    once = PatchHistograms.from_image(variants.render(SweepPoint(RESTORED))).counts
    assert [int(block.counts.sum() / once.sum()) for block in accumulator.block_histograms] == [2] * 3 + [1] * 61
    values = list(range(MAX_BOOTSTRAP_BLOCKS + 3))
    once = np.ones((1, MAX_BOOTSTRAP_BLOCKS), dtype=np.int64)
    assert bootstrap_mean(values, once)[0] == pytest.approx(np.mean(values))
