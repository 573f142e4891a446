"""The preview page is one file that loads nothing, and shows names and texts as they are."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from pipeline.reporting import render_preview
from tests.support.preview_photos import LABELS, make_preview_page, make_preview_photo

ODD = "<script>alert(1)</script>\"'&amp;\x1b[2J\u202e{{ 7 * 7 }}.png"
SHOWN = "<script>alert(1)</script>\"'&amp;\\x1b[2J\\u202e{{ 7 * 7 }}.png"
LOADING_ATTRIBUTES = {"src", "srcset", "href", "action", "data", "poster", "background", "xlink:href"}


class Page(HTMLParser):
    """The elements of a page, and its text outside of style sheets and scripts."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.scripts, self.text, self._open = [], [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        if self._open and self._open[-1] == "script":
            self.scripts.append(data)
        elif not self._open or self._open[-1] != "style":
            self.text += data

    def values(self, name):
        return [attributes[name] for _, attributes in self.elements if attributes.get(name) is not None]


def full_page(**values):
    plot = '<svg xmlns:xlink="http://www.w3.org/1999/xlink"><use xlink:href="#m1"/></svg>'
    table = {"headings": ("photo", "change"), "rows": ((ODD, "1.5"),)}
    photos = (make_preview_photo(ODD, caption=f"caption of {ODD}"), make_preview_photo())
    return make_preview_page(photos, **({"title": ODD, "notes": (ODD,), "error_plot": plot} | table | values))


def test_preview_page_loads_nothing():
    text = render_preview(full_page())
    page = Page(text)
    for name in LOADING_ATTRIBUTES:
        assert all(value.startswith(("data:", "#")) for value in page.values(name)), name
    assert not re.search(r"@import|url\((?!#)", text)
    (policy,) = page.values("content")[1:]
    assert policy.startswith("default-src 'none'; img-src data:; ")
    (script,) = page.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.endswith(f"script-src 'sha256-{digest}'"), "no other script may run"


def test_preview_page_shows_odd_names_as_they_are():
    page = Page(render_preview(full_page()))
    assert page.text.count(SHOWN) == 2 + 1 + 2 + 3 + 1, "title and heading, note, caption, controls, table"
    assert f"α = 1: {SHOWN}" in page.values("alt")
    assert f"{SHOWN}: two versions to compare" in page.values("aria-label")
    assert sum(tag == "script" for tag, _ in page.elements) == 1


def test_preview_page_has_every_version_once():
    photo = make_preview_photo()
    text = render_preview(make_preview_page([photo]))
    assert [text.count(version.source) for version in photo.versions] == [1, 1, 1]
    page = Page(text)
    assert [label for label in page.values("data-label") if label in LABELS] == 2 * list(LABELS)
    assert page.values("data-command")[2] == "deepot run job.yaml --transport.alpha 0"
    assert "deepot run job.yaml --transport.alpha 0.5" in page.text


def test_preview_page_without_table_and_plot_has_neither():
    text = render_preview(make_preview_page([make_preview_photo(labels=LABELS[:2], marks=())]))
    assert "<table" not in text and "<svg" not in text and "<select" not in text and 'class="mark"' not in text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"default": 3}, "setting 3 of 3"),
        ({"settings": ()}, "setting 1 of 0"),
        ({"headings": ("a", "b", "c")}, "3 cells of its headings"),
    ],
)
def test_preview_page_that_contradicts_itself_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        full_page(**values)
