"""The pages fit phones, tablets and desktops, in light and dark, and keep the accessibility rules of axe-core."""

from pipeline.reporting import render_preview, write_report
from pipeline.runs.commits import commit
from pipeline.runs.manifest import write_manifest_file
from pipeline.runs.paths import RunPaths
from pipeline.runs.rows import new_row
from pipeline.storage.objects import Entry
from tests.support.in_process_pool import run_in_process
from tests.support.preview_photos import make_preview_page, make_preview_photo

SIZES = {"phone": (390, 844), "tablet": (820, 1180), "desktop": (1280, 900)}
LONG = "a_very_long_name_without_any_space_" * 5 + ".tif"


def write_report_with_failures(make_job):
    run = RunPaths(run_in_process(make_job()).run)
    failed = {"status": "failed", "error_code": "damaged", "error_message": f"/nowhere/{LONG} ends early"}
    rows = [new_row(Entry(f"/in/{LONG}", f"{number} {LONG}", 1, "", 0.0), 0, 1) | failed for number in range(3)]
    commit(run, 98, [write_manifest_file(run, "98.parquet", rows)])
    return write_report(run)


def assert_fits(browser, path):
    for width, height in SIZES.values():
        for scheme in ("light", "dark"):
            browser.open(path, width, height, scheme=scheme)
            browser.wait_for("document.querySelector('.ready')")
            found = browser.evaluate("[document.scrollingElement.scrollWidth, innerWidth]")
            assert found[0] <= found[1] == width, scheme
            page, text = (
                browser.evaluate(f"getComputedStyle(document.body).{name}.match(/\\d+/g).map(Number)")
                for name in ("backgroundColor", "color")
            )
            assert (sum(page) < sum(text)) == (scheme == "dark")
            assert abs(sum(page) - sum(text)) > 500, "text stands out"
            if width != SIZES["tablet"][0]:
                violations = browser.violations()
                assert not violations, f"{width} pixels, {scheme}:\n" + "\n".join(violations)
            assert browser.problems() == []


def test_report_fits_phone_tablet_and_desktop_in_light_and_dark(browser, make_job):
    assert_fits(browser, write_report_with_failures(make_job))
    headings = browser.evaluate("[...document.querySelectorAll('h2')].map(each => each.textContent)")
    assert headings == ["Before and after", "Skipped and failed", "In numbers", "Technical part"]


def test_preview_fits_phone_tablet_and_desktop_in_light_and_dark(browser, tmp_path):
    table = {"headings": ("photo", *("mean change at α = 0.5",) * 9), "rows": ((LONG, *"123456789"),) * 4}
    photos = [make_preview_photo(LONG), *(make_preview_photo(f"{number}.png") for number in range(4))]
    (tmp_path / "page.html").write_text(render_preview(make_preview_page(photos, notes=(LONG,), title=LONG, **table)))
    assert_fits(browser, tmp_path / "page.html")


def test_violations_finds_what_axe_core_reports(browser, tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<!doctype html><title>A</title><main><h1>A</h1><img src="data:,"><p>text</p></main>')
    browser.open(page)
    assert {line.partition(":")[0] for line in browser.violations()} == {"html-has-lang", "image-alt"}
