"""The figures of docs/method.md: the script draws those that are there, and the page shows each of them."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
NAMES = sorted(path.name for path in (DOCS / "figures").iterdir())
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    from tools.docs.figures import write_figures

    folder = tmp_path_factory.mktemp("figures")
    write_figures(folder)
    return folder


def describe_svg(path):
    """The size of a figure, its texts and the number of its shapes: what does not depend on the version of a font."""
    root = ElementTree.parse(path).getroot()
    size = [round(float(number), -1) for number in root.get("viewBox").split()]
    return size, [text.text for text in root.iter(f"{SVG}text")], sum(1 for _ in root.iter(f"{SVG}path"))


@pytest.mark.parametrize("name", NAMES)
def test_script_draws_the_figure_of_the_page(drawn, name):
    assert describe_svg(drawn / name) == describe_svg(DOCS / "figures" / name)
    assert (DOCS / "figures" / name).stat().st_size < 40_000


def test_page_shows_every_figure_with_a_description():
    from tools.docs.figures import FIGURES

    page = (DOCS / "method.md").read_text(encoding="utf-8")
    shown = {name: " ".join(alt.split()) for alt, name in re.findall(r"!\[([^\]]+)\]\(figures/([^)]+)\)", page)}
    assert shown.keys() == FIGURES.keys() == set(NAMES)
    assert all(len(alt.split()) > 10 for alt in shown.values())
