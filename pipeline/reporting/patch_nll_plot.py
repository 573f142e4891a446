"""The plot of the patch NLL before and after, for the report."""

from typing import TYPE_CHECKING

from pipeline.escaping import escape
from pipeline.reporting.manifest_summary import ManifestSummary
from pipeline.reporting.svg import AFTER_COLOR, BEFORE_COLOR, GUIDE_COLOR, NATURAL_COLOR, figure_to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MAX_NAMED = 40
_MAX_NAME_LENGTH = 28
_MIN_HEIGHT, _HEIGHT_OF_AXES, _HEIGHT_OF_NAME = 3.2, 1.2, 0.16  # inches


def plot_patch_nll(summary: ManifestSummary, natural_mean: float) -> str:
    """Plot the patch NLL before and after as SVG, with a line at the mean of natural photos."""
    description = "Patch negative log-likelihood of photos before and after, and its mean over natural photos"
    return figure_to_svg(draw_patch_nll(summary, natural_mean), description)


def draw_patch_nll(summary: ManifestSummary, natural_mean: float) -> "Figure":
    """Draw a line for each photo, with its name, or two histograms if there are more than 40 photos."""
    rows = [row for row in summary.sampled_rows if row["patch_nll"] is not None]
    before, after = ([row[column] for row in rows] for column in ("patch_nll", "patch_nll_output"))
    from matplotlib.figure import Figure  # imported here as it takes half a second

    has_names = len(rows) <= _MAX_NAMED
    height = max(_MIN_HEIGHT, _HEIGHT_OF_AXES + _HEIGHT_OF_NAME * len(rows)) if has_names else _MIN_HEIGHT
    figure = Figure(figsize=(7, height), layout="constrained")
    axes = figure.subplots()
    if has_names:
        order = sorted(range(len(rows)), key=before.__getitem__)
        axes.hlines(range(len(rows)), [before[i] for i in order], [after[i] for i in order], color=GUIDE_COLOR)
        axes.plot([before[i] for i in order], range(len(rows)), "o", label="before", color=BEFORE_COLOR)
        axes.plot([after[i] for i in order], range(len(rows)), "o", label="after", color=AFTER_COLOR)
        names = [_shorten(escape(rows[i]["file_name"])) for i in order]
        axes.set_ylim(-1, max(1, len(rows)))
        axes.set_yticks(range(len(rows)), names, fontsize=7, parse_math=False)
    else:
        axes.hist([before, after], bins=40, label=["before", "after"], color=[BEFORE_COLOR, AFTER_COLOR])
        axes.locator_params(axis="y", integer=True)
        axes.set_ylabel("photos" if summary.sample_step == 1 else f"photos, 1 in {summary.sample_step}")
    axes.axvline(natural_mean, color=NATURAL_COLOR, linestyle="--", label="natural photos, mean")
    axes.set_xlabel("NLL of latent patches (nats per dimension)")
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return figure


def _shorten(name: str) -> str:
    """Return the end of a name that is too long."""
    return name if len(name) <= _MAX_NAME_LENGTH else f"…{name[1 - _MAX_NAME_LENGTH :]}"
