"""Figures as SVG in the colours of the page."""

import io
import re
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BEFORE_COLOR, AFTER_COLOR, NATURAL_COLOR, GUIDE_COLOR = "#b5651d", "#2f7fc4", "#1f9150", "#808080"
"""Colours that stand out from white as from a dark page."""


def figure_to_svg(figure: "Figure", description: str) -> str:
    """Return a figure as the text of an svg element.

    It has no background, and what is black has the colour of the page's text.

    Args:
        figure: the figure; legends without a frame.
        description: a text for screen readers.
    """
    with io.StringIO() as file:
        figure.savefig(file, format="svg", transparent=True)
        text = file.getvalue().partition("<svg")[2]
    text = re.sub(r"\b(fill|stroke): #000000\b", r"\1: currentColor", text)
    return f'<svg role="img" aria-label="{escape(description)}" fill="currentColor"{text}'
