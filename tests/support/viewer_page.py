"""What a page in the browser shows of its photos, and how tests move its controls."""

import io

import numpy as np
from PIL import Image


def stage_box(browser, number=1):
    values = browser.evaluate(
        f"(() => {{ const box = document.querySelector('#photo-{number} .stage').getBoundingClientRect();"
        "return [box.left, box.top, box.width, box.height] })()"
    )
    return [round(value) for value in values]


def pixels_of(browser):
    return np.asarray(Image.open(io.BytesIO(browser.screenshot())).convert("RGB"), int)


def colors_at(browser, *shares, number=1):
    """The colour of the stage of a photo at shares of its width, in its upper part."""
    left, top, width, _ = stage_box(browser, number)
    pixels = pixels_of(browser)
    return [tuple(pixels[top + 20, left + round(share * (width - 1))].tolist()) for share in shares]


def state_of(browser, number=1):
    classes = browser.evaluate(f"document.querySelector('#photo-{number}').className").split()
    zoom = browser.evaluate(f"document.querySelector('#photo-{number} output').textContent")
    return set(classes) - {"viewer", "observed", "ready"}, zoom


def labels_of(browser, number=1):
    return browser.evaluate(f"[...document.querySelectorAll('#photo-{number} .label')].map(each => each.textContent)")


def move_slider(browser, selector, value):
    browser.evaluate(
        f"(() => {{ const slider = document.querySelector({selector!r}); slider.value = {value};"
        "slider.dispatchEvent(new Event('input', { bubbles: true })) })()"
    )
