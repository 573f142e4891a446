"""Replicates and intervals against photos that are really drawn again."""

import math

import numpy as np
import pytest
import torch

from deepot.evaluation.bootstrap import (
    BootstrapEstimate,
    bootstrap_distance,
    bootstrap_mean,
    correct_bias,
    resample_counts,
)
from deepot.evaluation.metric_accumulator import MetricAccumulator
from deepot.transport.moments import Moments


def test_replicates_equal_metrics_of_resampled_photos():
    generator = torch.Generator().manual_seed(0)
    sides = [
        [
            Moments.from_patches(torch.randn(40 + 5 * i, 6, generator=generator) * (1 + 0.2 * s) + 0.1 * i)
            for i in range(5)
        ]
        for s in (0, 1)
    ]
    values = [1.0, 5.0, 2.0, 8.0, 3.0]
    counts = resample_counts(5, 20)
    assert counts.shape == (20, 5)
    assert (counts.sum(1) == 5).all()
    distances, means = bootstrap_distance(*sides, counts), bootstrap_mean(values, counts)
    for row, distance, mean in zip(counts, distances, means, strict=True):
        drawn = [index for index, times in enumerate(row) for _ in range(times)]
        repeated = MetricAccumulator(block_moments={"x": [sides[0][index] for index in drawn]})
        truth = MetricAccumulator(block_moments={"x": [sides[1][index] for index in drawn]})
        assert distance == pytest.approx(repeated.frechet_distance_to("x", truth), rel=1e-6)
        assert mean == pytest.approx(np.mean([values[index] for index in drawn]))


def test_bootstrap_mean_leaves_out_photos_without_a_value():
    counts = np.array([[1, 1, 1], [2, 0, 1], [0, 3, 0]])
    found = bootstrap_mean([1.0, math.nan, 4.0], counts)
    assert found[:2].tolist() == [2.5, 2.0]
    assert math.isnan(found[2])


def test_bootstrap_distance_with_constant_features_is_finite():
    patches = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    patches[:, 2] = 0
    mine, clean = Moments.from_patches(patches * 1.5), Moments.from_patches(patches)
    fast = bootstrap_distance([mine], [clean], np.array([[1]]))[0]
    assert fast == pytest.approx(
        MetricAccumulator(block_moments={"x": [mine]}).frechet_distance_to(
            "x", MetricAccumulator(block_moments={"x": [clean]})
        ),
        rel=1e-4,
    )


def test_intervals_contain_what_other_photos_give():
    """The distance between sets of the same size: not the true one, which all of them overestimate."""
    generator = torch.Generator().manual_seed(0)

    def photos(shift):
        means = 0.6 * torch.randn(16, 5, generator=generator)
        return [Moments.from_patches(mean + shift + torch.randn(60, 5, generator=generator)) for mean in means]

    def interval(mine, clean):
        value = MetricAccumulator(block_moments={"x": mine}).frechet_distance_to(
            "x", MetricAccumulator(block_moments={"x": clean})
        )
        return BootstrapEstimate.from_replicates(
            value, correct_bias(bootstrap_distance(mine, clean, resample_counts(16, 100)), value)
        )

    found = [interval(photos(0.5), photos(0.0)) for _ in range(40)]
    middle = np.median([each.value for each in found])
    assert all(each.low <= each.value <= each.high for each in found)
    assert np.mean([each.low <= middle <= each.high for each in found]) > 0.8


def test_bootstrap_distance_without_a_covariance_is_nan():
    one = Moments.from_patches(torch.randn(1, 3))
    many = Moments.from_patches(torch.randn(9, 3))
    found = bootstrap_distance([one, many], [one, many], np.array([[2, 0], [0, 2]]))
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(0, abs=1e-9)
    assert np.isnan(BootstrapEstimate.from_replicates(1.0, np.array([np.nan])).low)
