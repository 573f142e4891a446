"""The error curve is the error of x* + (1 − α) c, and goals give the α that keeps them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepot.errors import ArgumentError
from deepot.transport import (
    MAX_ALPHA,
    MAX_STRENGTH,
    MIN_ALPHA,
    MIN_STRENGTH,
    CompanionFit,
    ErrorCurve,
    alpha_from_strength,
    check_alpha,
)

CURVE = ErrorCurve(error=0.01, gain=0.001, energy=0.004)


def test_loss_is_that_of_measured_images():
    generator = torch.Generator().manual_seed(0)
    clean, restored, change = torch.randn(3, 1000, generator=generator, dtype=torch.float64)
    error = clean - restored
    change = 0.3 * change + 0.2 * error
    curve = ErrorCurve(*(float(each.mean()) for each in (error.square(), error * change, change.square())))
    for alpha in (-0.5, 0.0, 0.3, 1.0):
        measured = (clean - restored - (1 - alpha) * change).square().mean()
        assert curve.mse(alpha) == pytest.approx(float(measured))
        assert curve.loss_db(alpha) == pytest.approx(float(10 * torch.log10(measured / error.square().mean())))


def test_min_error_is_where_no_other_alpha_has_less():
    best = CURVE.resolve("min-error")
    assert best == pytest.approx(0.75)
    assert all(CURVE.mse(best) <= CURVE.mse(step / 100) for step in range(101))


@given(
    st.floats(1e-6, 1),
    st.floats(-1, 1),
    st.floats(1e-6, 1),
    st.floats(0, 3),
)
def test_limit_is_kept_and_no_stronger_change_keeps_it(error, cosine, energy, limit):
    curve = ErrorCurve(error, cosine * (error * energy) ** 0.5, energy)
    alpha = curve.alpha_within(limit)
    assert 0 <= alpha <= 1
    assert curve.loss_db(alpha) <= limit + 1e-6
    if 0.02 < alpha < 1:
        assert curve.loss_db(alpha - 0.01) > limit


@pytest.mark.parametrize(("gain", "alpha"), [(-0.001, 1.0), (0.0, 1.0), (0.004, 0.0), (0.009, 0.0)])
def test_min_error_stays_between_the_restored_photo_and_full_transport(gain, alpha):
    assert ErrorCurve(0.01, gain, 0.004).min_error_alpha == alpha


def test_change_of_nothing_and_perfect_photos_have_defined_goals():
    nothing, perfect = ErrorCurve(0.01, 0.0, 0.0), ErrorCurve(0.0, 0.0, 0.004)
    assert (nothing.resolve("min-error"), nothing.resolve("loss<=0.3dB"), nothing.loss_db(0)) == (1.0, 0.0, 0.0)
    assert (perfect.resolve("min-error"), perfect.resolve("loss<=0.3dB"), perfect.loss_db(1)) == (1.0, 1.0, 0.0)
    assert perfect.loss_db(0) == float("inf")


def test_loss_above_one_is_that_of_images_mixed_with_companions():
    generator = torch.Generator().manual_seed(0)
    clean, restored, companion = torch.randn(3, 1000, generator=generator, dtype=torch.float64)
    error, step = clean - restored, companion - restored
    fit = CompanionFit(0.3, *(float(each.mean()) for each in (error * step, step.square())))
    curve = ErrorCurve(float(error.square().mean()), 0.0, 0.0, fit)
    for alpha in (1.0, 1.4, 2.0):
        measured = (clean - restored - (alpha - 1) * 0.3 * step).square().mean()
        assert curve.mse(alpha) == pytest.approx(float(measured))


@pytest.mark.parametrize(
    ("companion", "alpha"),
    [
        (CompanionFit(0.5, gain=0.005, energy=0.01), 2.0),
        (CompanionFit(1.0, gain=0.005, energy=0.01), 1.5),
        (CompanionFit(0.5, gain=1e-5, energy=0.01), 0.75),
        (CompanionFit(0.5, gain=-0.005, energy=0.01), 0.75),
        (CompanionFit(0.0, gain=0.005, energy=0.01), 0.75),
        (CompanionFit(0.5, gain=0.0, energy=0.0), 0.75),
    ],
)
def test_min_error_is_on_the_side_of_less_error(companion, alpha):
    curve = ErrorCurve(0.01, 0.001, 0.004, companion)
    assert curve.resolve("min-error") == pytest.approx(alpha)
    assert all(curve.mse(curve.min_error_alpha) <= curve.mse(step / 100) for step in range(201))
    assert curve.resolve("loss<=0.3dB") == CURVE.resolve("loss<=0.3dB"), "limits are for the change"


def test_numbers_are_returned_as_they_are():
    assert [CURVE.resolve(alpha) for alpha in (0, -0.5, 1.25)] == [0.0, -0.5, 1.25]


@pytest.mark.parametrize(
    "alpha",
    [
        *("", "max", "min-error ", "loss<0.3dB", "loss<=-1dB", "loss<=dB", "loss<=0.3", "per-photo:", "per-photo:0.3"),
        *("0.5", None, -4.1, 9, float("nan")),
    ],
)
def test_anything_else_is_refused_with_the_ways_to_write_it(alpha):
    with pytest.raises(ValueError, match=r"^alpha is .*: give a number from -4 to 4, min-error, a limit"):
        check_alpha(alpha)


def test_strength_and_alpha_have_the_same_range():
    assert (alpha_from_strength(MIN_STRENGTH), alpha_from_strength(MAX_STRENGTH)) == (MAX_ALPHA, MIN_ALPHA)
    for alpha in (MIN_ALPHA, MAX_ALPHA):
        check_alpha(alpha)


@pytest.mark.parametrize("strength", ["half", "0.5", 9, -3.5, float("nan"), None])
def test_strength_that_is_no_number_of_the_range_is_refused(strength):
    with pytest.raises(ArgumentError, match=r"^strength is .*: give a number from -3 to 5"):
        alpha_from_strength(strength)
