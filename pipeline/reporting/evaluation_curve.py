"""The distortion–perception plot of an evaluation."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from deepot.evaluation import CLEAN_RECONSTRUCTION, RESTORED, RESTORED_RECONSTRUCTION, SweepPoint
from pipeline.reporting.evaluation_result import Estimates

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.text import Text

PREFERRED_FEATURE_SET = "map 3"
"""What the plot shows; the deepest feature map if there are fewer, the sliced Wasserstein distance without any."""
_SWD = "swd"
_MODE_COLORS = {"auto": "#7a3fb5", "detail": "#1d8a4e", "residual": "#1d6fb5", "plain": "#b5651d"}
_CONTROL_MARKERS = {
    RESTORED: ("*", "x*, α = 1"),
    RESTORED_RECONSTRUCTION: ("s", RESTORED_RECONSTRUCTION),
    CLEAN_RECONSTRUCTION: ("D", CLEAN_RECONSTRUCTION),
}


def plot_curve(points: dict[SweepPoint, Estimates]) -> bytes:
    """Plot a distance to the clean photos over PSNR as a PNG: a line per mode, a marker per control."""
    with io.BytesIO() as file:
        draw_curve(points).savefig(file, format="png", dpi=120)
        return file.getvalue()


def draw_curve(points: dict[SweepPoint, Estimates]) -> "Figure":
    """Draw what `plot_curve` plots; a value of α that would overlap another one is left out."""
    from matplotlib.figure import Figure  # imported here as it takes half a second

    name = _distance_to_plot(next(iter(points.values())))

    figure = Figure(figsize=(7, 4.6), layout="constrained")
    axes = figure.subplots()
    labels = []
    for mode, color in _MODE_COLORS.items():
        line = sorted((point for point in points if point.name == mode), key=lambda point: point.alpha or 0.0)
        if not line:
            continue
        psnrs = [points[point]["psnr"].value for point in line]
        estimates = [points[point][name] for point in line]
        distances = [each.value for each in estimates]
        bars = [
            [max(0.0, each.value - each.low) for each in estimates],
            [max(0.0, each.high - each.value) for each in estimates],
        ]
        axes.errorbar(psnrs, distances, yerr=bars, marker=".", color=color, ecolor=f"{color}55", label=mode)
        for point, position in zip(line, zip(psnrs, distances, strict=True), strict=True):
            text = f"{point.alpha:g}"
            labels.append(axes.annotate(text, position, textcoords="offset points", xytext=(4, 4), fontsize=8))
    for control, (marker, label) in _CONTROL_MARKERS.items():
        of_control = points[SweepPoint(control)]
        axes.plot([of_control["psnr"].value], [of_control[name].value], marker, color="#333", markersize=9, label=label)
    axes.set(
        xlabel="PSNR (dB), higher is closer to the original",
        ylabel=("sliced Wasserstein distance" if name == _SWD else f"Fréchet distance of {name}")
        + ", lower is more realistic",
        ylim=(0, None),
    )
    axes.grid(alpha=0.25)
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=8)
    _remove_overlapping(figure, labels)
    return figure


def _remove_overlapping(figure: "Figure", labels: "Sequence[Text]") -> None:
    """Remove labels that overlap earlier ones in the finished layout."""
    figure.draw_without_rendering()
    kept: list[Text] = []
    for label in labels:
        if any(label.get_window_extent().overlaps(other.get_window_extent()) for other in kept):
            label.remove()
        else:
            kept.append(label)


def _distance_to_plot(estimates: Estimates) -> str:
    feature_maps = [name for name in estimates if name.startswith("map ")]
    if PREFERRED_FEATURE_SET in feature_maps:
        return PREFERRED_FEATURE_SET
    return feature_maps[-1] if feature_maps else _SWD
