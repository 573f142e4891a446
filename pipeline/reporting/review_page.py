"""The review page: a person accepts or rejects photos of a sample, and saves the decisions as a file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from pipeline.reporting.preview_photo import PreviewPhoto
from pipeline.reporting.templates import render_page

_SCRIPTS = ("viewer.js", "review_bound.js", "review.js")


@dataclass(frozen=True)
class ReviewPage:
    """The content of a review page.

    Attributes:
        title: the heading.
        photos: the photos, before and after, in the order in which they are shown.
        review: the file that the page saves (`pipeline.review.Review` as JSON has it), whose photos are in that order.
        confidence: the confidence of the bound on rejects, in (0, 1).
        command: the command that applies the decisions.
        unusable: names of sampled photos that cannot be shown.

    Raises:
        ValueError: the photos are not those of the review.
    """

    title: str
    photos: tuple[PreviewPhoto, ...]
    review: Mapping[str, object]
    confidence: float
    command: str
    unusable: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [photo["file_name"] for photo in self.review["photos"]]  # type: ignore[attr-defined]
        if names != [photo.name for photo in self.photos]:
            raise ValueError(f"the page shows {len(self.photos)} photos, and the review has {len(names)} or others")


def render_review(page: ReviewPage) -> str:
    """Return the review page as HTML without external files."""
    data = json.dumps({"review": page.review, "confidence": page.confidence})
    return render_page("review.html.j2", _SCRIPTS, page=page, data=Markup(data.replace("<", "\\u003c")))
