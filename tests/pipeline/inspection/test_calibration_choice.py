"""The calibration and the restorers for a class of photos."""

import pytest

from deepot.forensics import DegradationEstimate, DegradationKind
from deepot.photo import QualityScores
from deepot.restoration import load_degradation, load_restorer
from pipeline.inspection import DegradationClass, PhotoFacts, calibration_choice, choose_calibration

SCORES = QualityScores(0.5, 1.0, 0.0, 0.0, 0.0, "0" * 16)


def make_class(kind, *strengths, jpeg_quality=None):
    photos = [
        PhotoFacts(
            f"{number}.png", "PNG", 90, 60, 8, "colour", False, False, False, 1, None, SCORES,
            DegradationEstimate(kind, strength, jpeg_quality),
        )
        for number, strength in enumerate(strengths)
    ]  # fmt: skip
    return DegradationClass(kind, tuple(photos))


@pytest.mark.parametrize(
    ("found", "degradation", "restorer", "calibration_restorer"),
    [
        (make_class(DegradationKind.NOISE, 20.2, 27.7, 24.9), "noise:sigma=25", "nlm:sigma=25", None),
        (make_class(DegradationKind.NOISE, 5.26), "noise:sigma=5.3", "nlm:sigma=5.3", None),
        (
            make_class(DegradationKind.NOISE, 20.0, jpeg_quality=70),
            "noise:sigma=20+jpeg:quality=70",
            "nlm:sigma=20",
            None,
        ),
        (make_class(DegradationKind.NOISE, 20.0, jpeg_quality=92), "noise:sigma=20", "nlm:sigma=20", None),
        (make_class(DegradationKind.CORRELATED_NOISE, 12.0), "noise:sigma=12", "nlm:sigma=12", None),
        (make_class(DegradationKind.JPEG, 30.0, 40.0, 35.0), "jpeg:quality=35", "identity", None),
        (make_class(DegradationKind.BLUR, 1.52), "blur:sigma=1.5", "identity", None),
        (make_class(DegradationKind.DOWNSCALE, 2.0, 2.0, 4.0), "downscale:factor=2", "identity", "resize:factor=2"),
        (make_class(DegradationKind.NONE, None), "noise:sigma=10", "identity", "nlm:sigma=10"),
        (make_class(DegradationKind.UNKNOWN, None), "noise:sigma=10", "identity", "nlm:sigma=10"),
    ],
)
def test_choose_calibration_gives_specs_that_can_be_loaded(found, degradation, restorer, calibration_restorer):
    choice = choose_calibration(found)
    assert (choice.degradation, choice.restorer, choice.calibration_restorer) == (
        degradation,
        restorer,
        calibration_restorer,
    )
    load_degradation(choice.degradation)
    for spec in filter(None, (choice.restorer, choice.calibration_restorer)):
        load_restorer(spec)


def test_choose_calibration_without_opencv_takes_a_median_filter(monkeypatch):
    monkeypatch.setattr(calibration_choice, "find_spec", lambda name: None)
    assert choose_calibration(make_class(DegradationKind.NOISE, 20.0)).restorer == "median:size=3"
    assert choose_calibration(make_class(DegradationKind.NONE, None)).calibration_restorer == "median:size=3"


@pytest.mark.parametrize("kind", [DegradationKind.NONE, DegradationKind.UNKNOWN])
def test_choose_calibration_calls_a_guess_a_guess(kind):
    assert "this is a guess" in choose_calibration(make_class(kind, None)).checks[0]


def test_choose_calibration_for_correlated_noise_names_what_is_missing():
    assert "correlated" in choose_calibration(make_class(DegradationKind.CORRELATED_NOISE, 9.0)).checks[0]


def test_choose_calibration_takes_a_downscaling_between_two_factors_as_a_whole_number():
    assert choose_calibration(make_class(DegradationKind.DOWNSCALE, 2.0, 3.0)).degradation == "downscale:factor=2"
