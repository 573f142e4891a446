"""The viewer compares photos by pointer, touch and keyboard, in a headless Chromium."""

import time

import numpy as np
import pytest

from tests.support.preview_photos import COLORS, LABELS, make_preview_photo, to_png_uri
from tests.support.viewer_page import colors_at, labels_of, move_slider, pixels_of, stage_box, state_of


def test_page_without_scripts_shows_both_versions_and_captions(browser, open_page):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        open_page(ready=False)
        widths = browser.evaluate("[...document.querySelectorAll('.layer img')].map(each => each.clientWidth)")
        assert min(widths) > 100
        assert colors_at(browser, 0.25, 0.75) == [COLORS[0], COLORS[1]]
        assert labels_of(browser) == [LABELS[0], LABELS[1]]
        assert browser.evaluate("document.querySelector('figcaption').innerText") == "photo.png\n400 × 300 pixels."
        assert browser.evaluate("document.querySelector('.controls').clientHeight") == 0
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_curtain_follows_slider_and_pointer(open_page):
    browser = open_page()
    before, after, _ = COLORS
    assert colors_at(browser, 0.45, 0.55) == [before, after]
    move_slider(browser, "[data-action=curtain]", 20)
    assert colors_at(browser, 0.15, 0.25) == [before, after]
    left, top, width, _ = stage_box(browser)
    browser.drag((left + 0.5 * width, top + 30), (left + 0.8 * width, top + 30))
    assert colors_at(browser, 0.75, 0.85) == [before, after]
    assert abs(float(browser.evaluate("document.querySelector('[data-action=curtain]').value")) - 80) <= 1


def test_curtain_moves_by_keyboard(open_page):
    browser = open_page()
    browser.evaluate("document.querySelector('[data-action=curtain]').focus()")
    browser.press("Home")
    assert colors_at(browser, 0.1, 0.9) == [COLORS[1], COLORS[1]]


def test_key_f_shows_one_version_then_the_other_until_escape(open_page):
    browser = open_page()
    before, after, _ = COLORS
    browser.press("f")
    assert colors_at(browser, 0.1, 0.9) == [before, before]
    browser.press("f")
    assert colors_at(browser, 0.1, 0.9) == [after, after]
    assert browser.evaluate("document.querySelector('[data-action=flicker]').ariaPressed") == "true"
    browser.press("Escape")
    assert colors_at(browser, 0.1, 0.9) == [before, after]
    assert browser.evaluate("document.querySelector('[data-action=flicker]').ariaPressed") == "false"


def test_key_f_that_is_held_shows_a_version_while_it_is_held(open_page):
    browser = open_page()
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="f", text="f")
    assert colors_at(browser, 0.1, 0.9) == [COLORS[0], COLORS[0]]
    time.sleep(0.4)  # longer than HOLD_MS of viewer.js
    browser.call("Input.dispatchKeyEvent", type="keyUp", key="f")
    assert colors_at(browser, 0.1, 0.9) == [COLORS[0], COLORS[1]]


def test_flicker_button_works_by_pointer_and_keyboard(open_page):
    browser = open_page()
    x, y = browser.evaluate(
        "(() => { const box = document.querySelector('[data-action=flicker]').getBoundingClientRect();"
        "return [box.left + 9, box.top + 9] })()"
    )
    browser.click(x, y)
    assert colors_at(browser, 0.1, 0.9) == [COLORS[0], COLORS[0]]
    browser.press("Enter")  # the button has the focus
    assert colors_at(browser, 0.1, 0.9) == [COLORS[1], COLORS[1]]


def chequered(width, height):
    return (255 * (np.indices((height, width)).sum(axis=0) % 2)).astype(np.uint8)[:, :, None].repeat(3, axis=2)


def wait_for_crisp_row(browser, row, columns):
    """A row of the window, as soon as it is black and white alone: Chromium scales an image soon, not at once."""
    deadline = time.monotonic() + 20
    while set((found := pixels_of(browser)[row, columns, 0]).tolist()) != {0, 255}:
        assert time.monotonic() < deadline, found
    return found


@pytest.mark.parametrize(("key", "side"), [("1", 1), ("2", 2)])
def test_zoom_shows_both_versions_in_step_and_pixels_crisp(open_page, key, side):
    image = chequered(1600, 1200)
    photo = make_preview_photo(sources=[to_png_uri(image), to_png_uri(255 - image)], width=1600, height=1200, marks=())
    browser = open_page(photo)
    browser.press(key)
    assert state_of(browser) == ({"zoomed", "crisp"}, f"{side}00 %")
    left, top, width, _ = stage_box(browser)
    shown = []
    for _ in ("before", "after"):
        browser.press("f")
        shown.append(wait_for_crisp_row(browser, top + 20, slice(left + 90, left + width - 90)))
        assert set(np.diff(np.flatnonzero(np.diff(shown[-1]))).tolist()) == {side}, "the side of a pixel on the screen"
    assert (shown[0] == 255 - shown[1]).all(), "the versions are inverse to each other at every place"
    browser.press("0")
    assert state_of(browser) == ({"flickering"}, "fit")


def test_mark_zooms_to_its_region_at_two_to_one(open_page):
    pixels = np.zeros((600, 800, 3), np.uint8)
    pixels[400:460, 500:580] = (0, 200, 0)
    mark = make_preview_photo().marks[0]
    marks = (type(mark)("largest change", 500, 400, 80, 60),)
    browser = open_page(make_preview_photo(sources=2 * [to_png_uri(pixels)], width=800, height=600, marks=marks))
    browser.evaluate("document.querySelector('[data-action=mark]').click()")
    assert state_of(browser)[1] == "200 %"
    left, top, width, height = stage_box(browser)
    assert tuple(pixels_of(browser)[top + height // 2, left + width // 2 + 20]) == (0, 200, 0)
    browser.press("0")
    left, top, width, height = stage_box(browser)
    browser.click(left + 540 / 800 * width, top + 430 / 600 * height)
    assert state_of(browser)[1] == "200 %", "the mark on the photo can be clicked, too"


def test_zoomed_photo_moves_by_pointer_and_shift_arrow_and_stays_in_the_stage(open_page):
    browser = open_page(make_preview_photo(width=400, height=300))
    browser.press("2")
    left, top, width, _ = stage_box(browser)
    place = (
        "['left', 'top'].map(name => parseFloat(document.querySelector('.stage').style.getPropertyValue(`--${name}`)))"
    )
    start = browser.evaluate(place)
    browser.drag((left + 50, top + 50), (left + 30, top + 40))
    assert browser.evaluate(place) == [start[0] - 20, start[1] - 10]
    browser.press("ArrowLeft", shift=True)
    assert browser.evaluate(place)[0] > start[0] - 20
    for _ in range(9):
        browser.press("ArrowRight", shift=True)
    assert browser.evaluate(place)[0] == width - 2 * 400


def test_wheel_zooms_only_into_the_photo_with_the_focus(open_page):
    browser = open_page(*(make_preview_photo(f"{number}.png") for number in range(8)))
    left, top, _, _ = stage_box(browser)
    browser.wheel(left + 50, top + 50, 120)
    browser.wait_for("scrollY > 0")
    assert state_of(browser)[1] == "fit"
    browser.evaluate("scrollTo(0, 0)")
    browser.wait_for("scrollY === 0")
    browser.evaluate("document.querySelector('.stage').focus({ preventScroll: true })")
    browser.wheel(left + 50, top + 50, -250)
    browser.wait_for("document.querySelector('#photo-1.zoomed')")
    assert browser.evaluate("scrollY") == 0


def test_two_fingers_zoom_on_a_phone(open_page):
    browser = open_page(width=390, height=844, touch=True)
    left, top, width, height = stage_box(browser)
    x, y = left + width / 2, top + height / 2
    browser.touch(*([(x - distance / 2, y), (x + distance / 2, y)] for distance in (40, 60, 120)))
    classes, zoom = state_of(browser)
    assert "zoomed" in classes
    fit = 100 * width / 400
    assert abs(int(zoom.split()[0]) - 3 * fit) <= 2, "three times as far apart"


def test_one_finger_moves_the_curtain_on_a_phone(open_page):
    browser = open_page(width=390, height=844, touch=True)
    left, top, width, _ = stage_box(browser)
    browser.touch(*([(left + share * width, top + 60)] for share in (0.5, 0.4, 0.3, 0.2)))
    assert colors_at(browser, 0.15, 0.25) == [COLORS[0], COLORS[1]]


def test_arrow_keys_move_between_photos(open_page):
    browser = open_page(*(make_preview_photo(f"{number}.png") for number in range(6)))
    focused = "document.activeElement.closest('.viewer')?.id"
    seen = []
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft", *["ArrowRight"] * 9):
        browser.press(key)
        seen.append(browser.evaluate(focused))
    assert seen[:4] == ["photo-1", "photo-2", "photo-3", "photo-2"] and seen[-1] == "photo-6"
    top, bottom, window = browser.evaluate(
        "(() => { const box = document.activeElement.getBoundingClientRect();"
        "return [box.top, box.bottom, innerHeight] })()"
    )
    assert top < window and bottom > 0, "it is in view"


def test_slider_over_all_photos_sets_the_version_after_of_each_and_the_command(open_page):
    browser = open_page(*(make_preview_photo(f"{number}.png") for number in range(30)))
    assert labels_of(browser, 1) == [LABELS[0], LABELS[1]]
    move_slider(browser, "[data-action=all-photos]", 2)
    for number in (1, 2):
        browser.wait_for(f"document.querySelectorAll('#photo-{number} .label')[1].textContent === {LABELS[2]!r}")
        assert colors_at(browser, 0.25, 0.75, number=number) == [COLORS[0], COLORS[2]]
    assert browser.evaluate("document.querySelector('#command').textContent").endswith("--transport.alpha 0")
    assert browser.evaluate("document.querySelector('.all-photos output').textContent") == LABELS[2]
    assert labels_of(browser, 30) == [LABELS[0], LABELS[1]], "far from the viewport nothing is decoded"
    browser.evaluate("document.querySelector('#photo-30').scrollIntoView()")
    browser.wait_for(f"document.querySelectorAll('#photo-30 .label')[1].textContent === {LABELS[2]!r}")


def test_list_of_versions_sets_one_side_of_one_photo(open_page):
    browser = open_page(make_preview_photo(), make_preview_photo("other.png"))
    move_slider(browser, "#photo-1 select[data-side=before]", 2)
    browser.wait_for(f"document.querySelector('#photo-1 .label').textContent === {LABELS[2]!r}")
    assert colors_at(browser, 0.25, 0.75) == [COLORS[2], COLORS[1]]
    assert labels_of(browser, 2) == [LABELS[0], LABELS[1]]


def test_page_of_200_photos_prepares_only_those_near_the_viewport(open_page):
    browser = open_page(*(make_preview_photo(f"{number}.png", labels=LABELS[:2]) for number in range(200)))
    assert browser.evaluate("document.querySelectorAll('.viewer').length") == 200
    assert browser.evaluate("document.querySelectorAll('.viewer.ready').length") <= 10
    assert colors_at(browser, 0.25, 0.75) == [COLORS[0], COLORS[1]], "the first photo is shown"
    browser.press("f")
    assert colors_at(browser, 0.25, 0.75) == [COLORS[0], COLORS[0]], "and it can be used"
    browser.evaluate("document.querySelector('#photo-200').scrollIntoView()")
    browser.wait_for("document.querySelector('#photo-200.ready')")
