"""Pages in a headless Chromium."""

import pytest

from pipeline.reporting import render_preview
from tests.support.chromium import run_chromium
from tests.support.preview_photos import make_preview_page, make_preview_photo


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    with run_chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def open_page(browser, tmp_path):
    """Opens a preview page in the browser, and checks in the end that no script has failed and nothing was loaded."""

    def open_page(*photos, width=1280, height=900, ready=True, page=None, **options):
        path = tmp_path / "page.html"
        path.write_text(render_preview(page or make_preview_page(photos or [make_preview_photo()])))
        browser.open(path, width, height, **options)
        if ready:
            browser.wait_for("document.querySelector('.ready')")
        return browser

    yield open_page
    assert browser.problems() == []
