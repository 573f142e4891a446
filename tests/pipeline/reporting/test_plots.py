"""The labels of plots do not overlap, and plots have the colours of the page."""

import itertools
import random

import pytest

from deepot.evaluation import CLEAN_RECONSTRUCTION, RESTORED, RESTORED_RECONSTRUCTION, BootstrapEstimate, SweepPoint
from pipeline.reporting.evaluation_curve import draw_curve
from pipeline.reporting.manifest_summary import ManifestSummary
from pipeline.reporting.patch_nll_plot import draw_patch_nll, plot_patch_nll


def summary_of(count, scale=1.0):
    draw = random.Random(count)
    rows = [
        {
            "file_name": f"album {number}/scan_{number:05d}_of_a_long_name.tif",
            "patch_nll": scale * draw.gauss(1, 0.3),
            "patch_nll_output": scale * draw.gauss(1.2, 0.3),
        }
        for number in range(count)
    ]
    return ManifestSummary(sampled_rows=rows)


def shown_boxes(figure):
    """The boxes of all texts that a figure shows, in pixels."""
    figure.draw_without_rendering()
    (axes,) = figure.axes
    ticks = [
        label
        for axis, (low, high) in ((axes.xaxis, sorted(axes.get_xlim())), (axes.yaxis, sorted(axes.get_ylim())))
        for label, place in zip(axis.get_ticklabels(), axis.get_ticklocs(), strict=True)
        if low <= place <= high
    ]
    legend = [text for each in figure.legends for text in each.get_texts()]
    texts = [*ticks, axes.xaxis.label, axes.yaxis.label, *legend, *axes.texts]
    return {
        f"{text.get_text()} ({number})": text.get_window_extent()
        for number, text in enumerate(texts)
        if text.get_text()
    }


def assert_apart(figure):
    boxes = shown_boxes(figure)
    overlapping = [
        (first, second)
        for (first, box), (second, other) in itertools.combinations(boxes.items(), 2)
        if box.overlaps(other)
    ]
    assert not overlapping
    width, height = figure.bbox.size
    outside = [name for name, box in boxes.items() if box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height]
    assert not outside
    return boxes


@pytest.mark.parametrize("count", [0, 1, 7, 40, 41, 400])
@pytest.mark.parametrize("scale", [1, 1e-4, 12_345])
def test_labels_of_patch_nll_plot_do_not_overlap(count, scale):
    boxes = assert_apart(draw_patch_nll(summary_of(count, scale), 1.1 * scale))
    names = [name for name in boxes if name.startswith("…")]
    assert len(names) == (count if count <= 40 else 0), "up to 40 photos have their names"


def test_patch_nll_plot_has_no_background_and_the_colour_of_the_text():
    plot = plot_patch_nll(summary_of(3), 1.0)
    assert plot.startswith('<svg role="img" aria-label="Patch negative log-likelihood')
    assert "#000000" not in plot and "currentColor" in plot
    assert "#ffffff" not in plot.replace("fill: #ffffff; opacity: 0", "")


def evaluation_points(alphas, spread):
    """Points of four modes, whose values differ by less the smaller `spread` is."""
    draw = random.Random(3)

    def estimates(position):
        values = {"psnr": 30 - spread * position, "map 3": 0.5 + spread * position}
        return {
            name: BootstrapEstimate(value, value - 0.01, value + 0.01 * draw.random()) for name, value in values.items()
        }

    points = {SweepPoint(name): estimates(0) for name in (RESTORED, RESTORED_RECONSTRUCTION, CLEAN_RECONSTRUCTION)}
    for number, mode in enumerate(("auto", "detail", "residual", "plain")):
        points |= {SweepPoint(mode, alpha): estimates(1 - alpha + 0.01 * number) for alpha in alphas}
    return points


@pytest.mark.parametrize("spread", [1.0, 0.05])
def test_labels_of_evaluation_curve_do_not_overlap(spread):
    figure = draw_curve(evaluation_points([step / 10 for step in range(10)], spread))
    assert_apart(figure)
    assert figure.axes[0].texts, "some values of α are shown"
