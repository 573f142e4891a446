"""The plot of the error covers the scale of α that the map has."""

from types import SimpleNamespace

import pytest

from deepot.transport import CompanionFit, ErrorCurve
from pipeline.reporting import error_curve


@pytest.mark.parametrize(("companion", "end"), [(None, 1.0), (CompanionFit(0.5, gain=0.005, energy=0.01), 2.0)])
def test_plot_goes_to_the_mixture_of_least_error_if_there_is_a_companion(monkeypatch, companion, end):
    figures = []
    monkeypatch.setattr(error_curve, "figure_to_svg", lambda figure, _: figures.append(figure) or "")
    curve = ErrorCurve(0.01, 0.001, 0.004, companion)
    error_curve.plot_error_curve(SimpleNamespace(change=SimpleNamespace(curves={"auto": curve})), "auto")
    (axes,) = figures[0].axes
    alphas = axes.lines[1].get_xdata()
    assert (min(alphas), max(alphas)) == (0, end)
    assert axes.lines[2].get_xdata() == [curve.min_error_alpha]
