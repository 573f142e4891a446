"""Benchmarks know of a result what a run would know of it, and project it likewise."""

import numpy as np
import pytest

from benchmarks._input_constraints import make_constraint, project
from deepot.inference import JpegConstraint, ReductionConstraint, degrade_photo
from deepot.photo import Pixels
from deepot.restoration import load_degradation, load_restorer, rng_for
from tests.support.photos import make_photo


def prepare(degradation, restorer):
    """What is known of a photo, the photo restored, and a result that contradicts it."""
    photo, restore = Pixels.from_image(make_photo(0, 64, 48)), load_restorer(restorer)
    restored = restore(degrade_photo(photo, load_degradation(degradation), rng_for(b"")))
    noise = np.random.default_rng(0).normal(0, 12, restored.samples.shape)
    result = Pixels((restored.samples + noise).clip(0, 255).astype(np.uint8))
    return make_constraint(degradation, restore, photo, restored), restored, result


@pytest.mark.parametrize(
    ("degradation", "restorer", "kind"),
    [
        ("jpeg:quality=20", "identity", JpegConstraint),
        ("downscale:factor=2", "resize:factor=2", ReductionConstraint),
    ],
)
def test_result_of_compression_or_reduction_alone_is_projected(degradation, restorer, kind):
    constraint, restored, result = prepare(degradation, restorer)
    assert isinstance(constraint, kind)
    before = result.samples.copy()
    projected = project(result, constraint)
    assert constraint.count(result).outside > 10 * constraint.count(projected).outside
    assert not np.array_equal(projected.samples, result.samples)
    assert np.array_equal(result.samples, before), "the result itself stays"
    if kind is JpegConstraint:
        assert constraint.count(restored).outside == 0


@pytest.mark.parametrize(
    ("degradation", "restorer"),
    [
        ("noise:sigma=5", "identity"),
        ("blur:sigma=1+jpeg:quality=20", "identity"),
        ("jpeg:quality=20", "median:size=3"),
        ("downscale:factor=2+blur:sigma=1", "resize:factor=2"),
        ("downscale:factor=2", "resize:factor=4"),
    ],
)
def test_nothing_is_known_of_other_results(degradation, restorer):
    constraint, _, result = prepare(degradation, restorer)
    assert constraint is None
    assert project(result, constraint) is result
