"""Photos of one colour for a version each, for tests of the pages that compare them."""

import base64
import io

import numpy as np
from PIL import Image

from pipeline.reporting import PreviewMark, PreviewPage, PreviewPhoto, PreviewSetting, PreviewVersion

LABELS = ("α = 1", "α = 0.5", "α = 0")
COLORS = ((200, 0, 0), (0, 160, 0), (0, 0, 220))
WIDTH, HEIGHT = 400, 300


def to_png_uri(pixels):
    with io.BytesIO() as file:
        Image.fromarray(pixels).save(file, "PNG")
        return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def make_preview_photo(name="photo.png", sources=None, labels=LABELS, **values):
    """A photo in as many versions as there are labels, each of one colour, with a mark in its lower right part."""
    if sources is None:
        sources = [to_png_uri(np.full((HEIGHT, WIDTH, 3), color, np.uint8)) for color in COLORS]
    versions = tuple(PreviewVersion(label, source) for label, source in zip(labels, sources, strict=False))
    marks = (PreviewMark("largest change", 240, 180, 80, 60),)
    found = {"caption": "400 × 300 pixels.", "width": WIDTH, "height": HEIGHT, "before": 0, "after": 1, "marks": marks}
    return PreviewPhoto(name=name, versions=versions, **(found | values))


def make_preview_page(photos, **values):
    """A page of photos with a slider over `LABELS`, at the second one."""
    settings = tuple(PreviewSetting(label, f"deepot run job.yaml --transport.alpha {label[4:]}") for label in LABELS)
    return PreviewPage(**({"title": "Preview", "photos": tuple(photos), "settings": settings, "default": 1} | values))
