import pytest

from deepot.transport.transport_map import CalibrationKind
from pipeline.config.loading import parse_job

LEAST = {"input": {"images": "in"}, "output": {"uri": "out"}, "source": {"degrade": "noise:sigma=50"}}


@pytest.mark.parametrize(
    ("changes", "calibration"),
    [
        ({}, CalibrationKind.SELF),
        ({"reference": {"images": "r"}}, CalibrationKind.PAIRED),
        ({"reference": {"images": "r"}, "source": {"images": "s"}}, CalibrationKind.UNPAIRED),
    ],
)
def test_the_job_file_decides_how_to_calibrate(changes, calibration):
    assert parse_job(LEAST | changes).calibration_kind is calibration


def test_the_fingerprint_changes_with_what_changes_results_and_with_nothing_else():
    job, models = parse_job(LEAST), {"codec": "a"}
    same = [{"name": "x"}, {"compute": {"actors": 3, "threads": 2}}, {"limits": {"max_error_rate": 0.5}}, {"run": "r"}]
    other = [
        {"transport": {"alpha": 0.1}},
        {"transport": {"components": 3}},
        {"restorer": "nlm:sigma=5"},
        {"compute": {"dtype": "bfloat16"}},
        {"limits": {"max_pixels": 5}},
        {"tiles": {"size": 512}},
        {"output": {"uri": "out", "format": "png"}},
    ]
    assert {parse_job(LEAST | change).fingerprint(models) for change in same} == {job.fingerprint(models)}
    prints = {parse_job(LEAST | change).fingerprint(models) for change in other} | {job.fingerprint({"codec": "b"})}
    assert len(prints | {job.fingerprint(models)}) == len(other) + 2
