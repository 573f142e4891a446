"""The review page takes decisions by key and button, keeps them, saves and loads them, in a headless Chromium."""

import json
import random
import time

import pytest

from pipeline.reporting import ReviewPage, render_review
from pipeline.review import CONFIDENCE, StratumCounts, bound_rejects, count_review, describe_review
from pipeline.review.decision_file import _parse_review
from tests.pipeline.reporting.test_page_sizes import LONG, assert_fits
from tests.support.review_pages import make_review, make_review_page

NAMES = ("a.png", "b.png", "c.png", "</script><b>&.png")
CURRENT = "document.querySelector('.viewer.current figcaption b').textContent"
PROGRESS = "document.querySelector('#progress').textContent"
MESSAGE = "document.querySelector('#message').textContent"
STATEMENT = "document.querySelector('#statement').textContent"
PRESSED = "[...document.querySelectorAll('.decide button')].map(each => each.ariaPressed)"
DECISIONS = "[...document.querySelectorAll('.strip button')].map(each => each.dataset.decision)"


@pytest.fixture
def open_review(browser, tmp_path):
    """Opens a review page without what an earlier one has kept; checks in the end that no script has failed."""
    path = tmp_path / "review.html"

    def open_page(names=NAMES, *, keep=False, width=1280, height=900, **values):
        path.write_text(render_review(make_review_page(names, **values)))
        for _ in range(1 if keep else 2):
            browser.open(path, width, height)
            browser.wait_for("document.querySelector('.desk-ready .current.ready')")
            if not keep:
                browser.evaluate("localStorage.clear()")
        return browser

    yield open_page
    assert browser.problems() == []


def test_keys_decide_and_move_on_to_the_next_undecided_photo(open_review):
    browser = open_review()
    assert browser.evaluate(CURRENT) == "a.png"
    assert browser.evaluate("[...document.querySelectorAll('.viewer')].filter(each => each.clientHeight).length") == 1
    browser.press("a")
    assert (browser.evaluate(CURRENT), browser.evaluate(PROGRESS)) == (
        "b.png",
        "1 of 4 decided: 1 accepted, 0 rejected",
    )
    browser.press("ArrowRight")
    browser.press("r")
    assert browser.evaluate(CURRENT) == NAMES[3]
    browser.press("a")
    assert browser.evaluate(CURRENT) == "b.png", "from the last photo to the first that is undecided"
    browser.press("r")
    assert browser.evaluate(DECISIONS) == ["accepted", "rejected", "rejected", "accepted"]
    assert browser.evaluate(MESSAGE) == "All photos of this page are decided: save the decisions."
    assert browser.evaluate(PROGRESS) == "4 of 4 decided: 2 accepted, 2 rejected"
    assert browser.evaluate(PRESSED) == ["false", "true", "false"]
    browser.press("u")
    assert browser.evaluate(PRESSED) == ["false", "false", "true"]
    assert browser.evaluate(PROGRESS) == "3 of 4 decided: 2 accepted, 1 rejected"


def test_keys_of_the_viewer_and_of_the_browser_stay_theirs(open_review):
    browser = open_review()
    browser.press("f")
    assert browser.evaluate("document.querySelector('.current').classList.contains('flickering')")
    browser.call("Input.dispatchKeyEvent", type="rawKeyDown", key="r", modifiers=2)
    assert browser.evaluate(DECISIONS) == ["undecided"] * 4, "Ctrl and R decide nothing"
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="a", text="a", autoRepeat=True)
    assert browser.evaluate(DECISIONS) == ["undecided"] * 4, "neither does a key that is held"


def test_buttons_decide_and_show_any_photo(open_review):
    browser = open_review()
    for selector in ("[data-decide=rejected]", "[data-desk=next]", "[data-desk=previous]", "[data-photo='3']"):
        browser.evaluate(f"document.querySelector({selector!r}).click()")
    assert browser.evaluate(CURRENT) == NAMES[3]
    assert browser.evaluate("document.querySelector('#position').textContent") == "Photo 4 of 4"
    labels = browser.evaluate("[...document.querySelectorAll('.strip button')].map(each => each.ariaLabel)")
    assert labels[0] == "Photo 1: a.png, rejected" and labels[3] == f"Photo 4: {NAMES[3]}, undecided"
    browser.evaluate("document.querySelector('[data-desk=undecided]').click()")
    assert browser.evaluate(CURRENT) == "b.png"
    assert browser.evaluate("document.querySelectorAll('[aria-current]').length") == 1


def test_decision_in_full_screen_shows_the_next_photo_in_full_screen(open_review):
    browser = open_review()
    button = "document.querySelector('.current [data-action=full-screen]')"
    # Chromium grants full screen within seconds of a click with the pointer, which a busy machine may exceed
    browser.call("Runtime.evaluate", expression=f"{button}.click()", userGesture=True)
    browser.wait_for("document.fullscreenElement?.id === 'photo-1'")
    browser.press("a")
    browser.wait_for("document.fullscreenElement?.id === 'photo-2'")
    assert browser.evaluate(CURRENT) == "b.png"
    browser.evaluate("document.exitFullscreen()")


def test_decisions_survive_a_reload_for_the_same_results_of_the_same_run(open_review):
    browser = open_review()
    browser.press("r")
    browser.press("a")
    open_review(keep=True)
    assert browser.evaluate(DECISIONS) == ["rejected", "accepted", "undecided", "undecided"]
    assert browser.evaluate(CURRENT) == "c.png"
    open_review(NAMES[::-1], keep=True)
    assert browser.evaluate(DECISIONS) == ["undecided"] * 4, "other results"
    open_review(run="f" * 16, keep=True)
    assert browser.evaluate(DECISIONS) == ["undecided"] * 4, "another run"


def save_decisions(browser, folder):
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    browser.evaluate("document.querySelector('[data-desk=save]').click()")
    deadline = time.monotonic() + 60
    while not (folder / "decisions.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return folder / "decisions.json"


def load_decisions(browser, path):
    document = browser.call("DOM.getDocument")["root"]["nodeId"]
    node = browser.call("DOM.querySelector", nodeId=document, selector="#file")["nodeId"]
    browser.evaluate("document.querySelector('#message').textContent = ''")
    browser.call("DOM.setFileInputFiles", files=[str(path)], nodeId=node)
    browser.wait_for(MESSAGE)
    return browser.evaluate(MESSAGE)


def test_saved_file_is_one_that_a_run_reads_and_the_page_loads(open_review, tmp_path):
    browser = open_review()
    browser.press("r")
    browser.press("a")
    path = save_decisions(browser, tmp_path)
    expected = make_review(NAMES)
    for photo, decision in zip(expected["photos"], ("rejected", "accepted", "undecided", "undecided"), strict=True):
        photo["decision"] = decision
    assert json.loads(path.read_text()) == expected
    review = _parse_review(path.read_bytes(), str(path))
    assert browser.evaluate(STATEMENT) == describe_review(count_review(review))
    open_review()
    assert browser.evaluate(DECISIONS) == ["undecided"] * 4
    assert load_decisions(browser, path) == "Loaded decisions.json: 4 of its 4 photos are on this page."
    assert browser.evaluate(DECISIONS) == ["rejected", "accepted", "undecided", "undecided"]
    open_review(NAMES[:1])
    assert load_decisions(browser, path) == "Loaded decisions.json: 1 of its 4 photos are on this page."
    for content, message in (
        ("{", "wrong.json is not JSON."),
        ("{}", "wrong.json is not a file of decisions."),
        (json.dumps(expected | {"run": "other"}), "wrong.json has decisions about another run, other."),
    ):
        (tmp_path / "wrong.json").write_text(content)
        assert load_decisions(browser, tmp_path / "wrong.json") == message
    assert browser.evaluate(DECISIONS) == ["rejected"], "it keeps what it had"


def test_bounds_and_statement_of_the_page_are_those_of_python(open_review):
    generator = random.Random(5)
    cases = [[StratumCounts(1, 1, 0)], [StratumCounts(10**8, 1000, 999)], [StratumCounts(60, 1, 0)] * 3]
    for _ in range(150):
        strata = []
        for _ in range(generator.randint(1, 3)):
            photos = generator.choice((3, 20, 500, 10**8))
            reviewed = generator.randint(0, min(photos, 200))
            strata.append(StratumCounts(photos, reviewed, generator.randint(0, reviewed)))
        cases.append(strata)
    browser = open_review(rejected_before=2, accepted_before=1)
    given = json.dumps([[vars(stratum) for stratum in strata] for strata in cases])
    found = browser.evaluate(f"{given}.map(strata => reviewBound.boundRejects(strata, {CONFIDENCE}))")
    assert found == [[*bound_rejects(strata)] for strata in cases]
    decided = make_review(NAMES, rejected_before=2, accepted_before=1)
    for key, photo in zip("rara", decided["photos"], strict=True):
        browser.press(key)
        photo["decision"] = {"r": "rejected", "a": "accepted"}[key]
        review = _parse_review(json.dumps(decided).encode(), "")
        assert browser.evaluate(STATEMENT) == describe_review(count_review(review))
    cells = browser.evaluate("[...document.querySelectorAll('[data-stratum] td')].map(each => each.textContent)")
    counts = count_review(review)
    assert cells == ["2", "1", "1", str(counts.at_most[0]), "100", "3", "1", str(counts.at_most[1])]


def test_complete_review_states_the_exact_number(open_review):
    browser = open_review(strata=((4, 4),))
    for key in "aara":
        browser.press(key)
    assert browser.evaluate(STATEMENT) == "All 4 changed photos of the run are decided: 3 accepted, 1 rejected."


def test_review_page_fits_phone_tablet_and_desktop_in_light_and_dark(browser, tmp_path):
    names = (LONG, *(f"{number}.png" for number in range(60)))
    page = make_review_page(names, unusable=(LONG,), strata=((1, 2), (30, 9000), (30, 12_000_000)))
    (tmp_path / "page.html").write_text(render_review(page))
    assert_fits(browser, tmp_path / "page.html")


def test_page_without_scripts_shows_all_photos_and_says_so(browser, tmp_path):
    (tmp_path / "page.html").write_text(render_review(make_review_page(NAMES)))
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(tmp_path / "page.html")
        assert browser.evaluate("[...document.querySelectorAll('.viewer')].every(each => each.clientHeight > 50)")
        assert "nothing can be decided" in browser.evaluate("document.querySelector('noscript').innerText")
        assert browser.evaluate("document.querySelector('.desk').clientHeight") == 0
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_photos_of_a_page_must_be_those_of_its_review():
    page = make_review_page(NAMES)
    with pytest.raises(ValueError, match="the page shows 3 photos, and the review has 4 or others"):
        ReviewPage(page.title, page.photos[1:], page.review, 0.95, "")
