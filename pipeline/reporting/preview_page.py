"""The preview page: photos of a job at several α, and what to run next."""

from dataclasses import dataclass

from markupsafe import Markup

from pipeline.reporting.preview_photo import PreviewPhoto
from pipeline.reporting.templates import render_page


@dataclass(frozen=True)
class PreviewSetting:
    """A position of the slider for all photos.

    Attributes:
        label: its name, e.g. "α = 0.5"; photos show their version with this label to the right of the curtain.
        command: the command that processes photos with this setting.
    """

    label: str
    command: str


@dataclass(frozen=True)
class PreviewPage:
    """The content of a preview page.

    Attributes:
        title: the heading.
        photos: the photos; the versions of each from α = 1 to α = 0, then those of other modes.
        settings: the positions of the slider for all photos, from α = 1 to α = 0.
        default: index of the setting that is shown first; photos should have its version as `after`.
        notes: sentences above the photos.
        headings: the heading of each column of the table; no table if there are none.
        rows: the cells of the table, a row per photo, which begins with its name.
        error_plot: the plot of the error over α as SVG, from `plot_error_curve`; empty for none.

    Raises:
        ValueError: there is no setting with the index `default`, or a row has another length than the headings.
    """

    title: str
    photos: tuple[PreviewPhoto, ...]
    settings: tuple[PreviewSetting, ...]
    default: int
    notes: tuple[str, ...] = ()
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    error_plot: str = ""

    def __post_init__(self) -> None:
        if self.default not in range(len(self.settings)):
            raise ValueError(f"setting {self.default} of {len(self.settings)}")
        if any(len(row) != len(self.headings) for row in self.rows):
            raise ValueError(f"a row of the table has not the {len(self.headings)} cells of its headings")


def render_preview(page: PreviewPage) -> str:
    """Return the preview page as HTML without external files."""
    return render_page("preview.html.j2", page=page, error_plot=Markup(page.error_plot))
