"""Feature networks and metrics as users give them."""

import numpy as np
import pytest
import torch

from deepot.errors import SpecError
from deepot.evaluation.metric_fn import MetricFn
from deepot.photo.pixels import Pixels


def test_metric_fn_of_features_returns_a_map_for_each_depth():
    features = MetricFn("tests.support.fake_metrics:edge_features")
    assert [tuple(each.shape) for each in features(torch.rand(1, 3, 8, 8))] == [(1, 6, 7, 7), (1, 6, 3, 3)]


def test_metric_fn_of_a_module_is_in_evaluation_mode():
    features = MetricFn("tests.support.fake_metrics:normalised_features")
    image = torch.rand(1, 3, 8, 8)
    assert torch.equal(features(image)[0], features(image)[0])


def test_metric_fn_fingerprint_changes_with_the_options():
    sha256 = {MetricFn(f"tests.support.fake_metrics:normalised_features{text}").sha256 for text in ("", ":scale=2")}
    assert len(sha256) == 2


def test_metric_fn_may_compute_in_place_on_a_grey_photo():
    features = MetricFn("tests.support.fake_metrics:in_place_features")
    grey = Pixels(np.full((16, 16, 1), 128, np.uint8)).to_rgb()
    assert features(grey)[0].mean() == pytest.approx(128 / 255 - 0.5, abs=1e-6)


def test_metric_fn_of_an_unknown_factory_raises():
    with pytest.raises(SpecError, match="has no factory 'nothing'"):
        MetricFn("tests.support.fake_metrics:nothing")
