"""The figures of docs/method.md, drawn by the functions that they explain.

python -m tools.docs.figures docs/figures
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, Rectangle

from deepot.transport import CompanionFit, ErrorCurve, affine_transport, count_overlaps
from deepot.transport import Gaussian as Normal

_RESTORED, _NATURAL, _MOVED, _GREY = "#0b6e99", "#c8590a", "#555555", "#777777"
_STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "deepot",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw_map() -> Figure:
    """Draw two Gaussians of two latent values, and where the map between them takes some restored patches."""
    restored = Normal(torch.tensor([0.0, 0.0]).double(), torch.tensor([[1.0, 0.45], [0.45, 0.35]]).double())
    natural = Normal(torch.tensor([0.5, 0.3]).double(), torch.tensor([[1.2, 0.2], [0.2, 1.1]]).double())
    root = torch.linalg.cholesky(restored.covariance)
    noise = torch.randn(14, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    before = (noise @ root.T + restored.mean).numpy()
    affine = affine_transport(restored, natural)
    after = before @ affine.matrix.numpy().T + affine.bias().numpy()

    figure = Figure(figsize=(5.4, 3.5), layout="constrained")
    axes = figure.subplots()
    for gaussian, colour, label in (
        (restored, _RESTORED, "restored: μs, Σs"),
        (natural, _NATURAL, "natural: μr, Σr"),
    ):
        _add_ellipses(axes, gaussian, colour, label)
    for start, end in zip(before, after, strict=True):
        axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": _MOVED, "lw": 0.8, "shrinkB": 0})
    axes.scatter(before[:, 0], before[:, 1], s=14, color=_RESTORED, zorder=3, label="z")
    axes.scatter(after[:, 0], after[:, 1], s=14, color=_NATURAL, zorder=3, label="z′ = T (z − μs) + μr")
    axes.set(xlabel="first value of a patch", ylabel="second value", xlim=(-2.6, 5.6), ylim=(-2.2, 2.8), aspect="equal")
    axes.legend(frameon=False, fontsize=8, loc="upper right")
    return figure


def _add_ellipses(axes: Axes, gaussian: Normal, colour: str, label: str) -> None:
    """Add the ellipses of one and two standard deviations of a Gaussian."""
    values, vectors = np.linalg.eigh(gaussian.covariance.numpy())
    angle = float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])))
    centre = float(gaussian.mean[0]), float(gaussian.mean[1])
    for deviations, name in ((1, label), (2, None)):
        height, width = 2 * deviations * np.sqrt(values)
        line = {"fill": False, "color": colour, "lw": 1.4 / deviations, "label": name}
        axes.add_patch(Ellipse(centre, width, height, angle=angle, **line))


def draw_overlaps() -> Figure:
    """Draw latents with their repeated border, some patches, and how many patches cover each position."""
    rows, columns, side = 4, 6, 3
    border = side // 2
    counts = count_overlaps(rows, columns, side)[border:-border, border:-border].numpy()
    figure = Figure(figsize=(4.4, 3.2), layout="constrained")
    axes = figure.subplots()
    around = (-border, columns + border), (-border, rows + border)
    edges = (np.arange(first, last + 1) for first, last in around)
    axes.pcolormesh(*edges, np.zeros((rows + 2 * border, columns + 2 * border)), cmap="Greys", vmax=1, ec="#dddddd")
    axes.pcolormesh(counts, cmap="Greys", vmin=0, vmax=22, edgecolors="white", linewidth=1.5)
    for (row, column), count in np.ndenumerate(counts):
        axes.text(column + 0.5, row + 0.5, str(count), ha="center", va="center", fontsize=9)
    for (left, bottom), colour in zip([(1, 1), (2, 0), (4, 2)], [_RESTORED, _NATURAL, "#3a7d2c"], strict=True):
        corner, length = (left + 0.06, bottom + 0.06), side - 0.12
        axes.add_patch(Rectangle(corner, length, length, fill=False, color=colour, lw=2))
    axes.set(aspect="equal", xticks=[], yticks=[], xlabel="the numbers: how many patches cover a position")
    axes.spines[:].set_visible(False)
    return figure


def draw_alpha() -> Figure:
    """Draw the squared error over α, with and without a companion, and how far the output is from natural photos."""
    companion = CompanionFit(weight=0.6, gain=0.18, energy=0.3)
    curve = ErrorCurve(error=1.0, gain=0.18, energy=0.5, companion=companion)
    figure = Figure(figsize=(5.4, 3.4), layout="constrained")
    axes = figure.subplots()
    change, mixture = np.linspace(0, 1, 60), np.linspace(1, 2, 60)
    axes.plot(change, [curve.mse(alpha) for alpha in change], color=_RESTORED, label="error: ‖x − x̂‖², a parabola")
    axes.plot(
        mixture, [curve.mse(alpha) for alpha in mixture], "--", color=_RESTORED, label="the same with a companion"
    )
    axes.plot(change, change, color=_NATURAL, label="distance of the set from natural photos, P = α P*")
    best = curve.min_error_alpha if curve.min_error_alpha <= 1 else 1 - curve.gain / curve.energy
    for alpha, text, offset in ((best, "least error of α up to 1", (-48, 7)), (2.0, "least error", (-48, 7))):
        axes.plot(alpha, curve.mse(alpha), "o", color=_RESTORED, markersize=4)
        axes.annotate(text, (alpha, curve.mse(alpha)), textcoords="offset points", xytext=offset, fontsize=8)
    axes.vlines(1, 0, 1, color=_GREY, lw=0.8, ls=":")
    axes.set(xlabel="α", ylim=(0, 1.75), xlim=(0, 2.05), yticks=[0, 1], yticklabels=["0", "x*"])
    axes.set_xticks([0, 0.5, 1, 2], ["0\nfull transport", "0.5\ndefault", "1\nx* itself", "2\nmixture"])
    axes.legend(frameon=False, fontsize=8, loc="upper center")
    return figure


FIGURES: dict[str, Callable[[], Figure]] = {
    "map.svg": draw_map,
    "overlaps.svg": draw_overlaps,
    "alpha.svg": draw_alpha,
}
"""File of a figure → the function that draws it."""


def write_figures(folder: Path) -> None:
    """Write all figures; the same versions of the libraries give the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    with rc_context(_STYLE):
        for name, draw in FIGURES.items():
            draw().savefig(folder / name, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    write_figures(Path(sys.argv[1]))
