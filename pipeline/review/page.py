"""The review page of a run, with the sample that it shows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

from pipeline.errors import NothingFoundError
from pipeline.reporting import ReportPhoto, ReviewPage, load_report_photo, render_review
from pipeline.review.decision_file import Decision, Review, ReviewedPhoto
from pipeline.review.defaults import DEFAULT_REVIEW_PHOTOS
from pipeline.review.reject_bound import CONFIDENCE
from pipeline.review.risk_sample import ReviewSample, sample_by_risk
from pipeline.runs import RunPaths, require_run
from pipeline.sources import common_permissions
from pipeline.storage import prefetch_map, read, write

_READ_THREADS = 4


@dataclass(frozen=True)
class ReviewPageResult:
    """A review page that was written.

    Attributes:
        uri: URI of the page.
        review: the sample, undecided.
        unusable: names of sampled photos that the page cannot show.
    """

    uri: str
    review: Review
    unusable: tuple[str, ...]


def write_review_page(
    run: RunPaths, uri: str, command: str, max_photos: int = DEFAULT_REVIEW_PHOTOS
) -> ReviewPageResult:
    """Write a page on which a person decides about a sample of a run's photos.

    Only users who may read every photo that it shows can read the page.

    Args:
        run: the run.
        uri: URI of the page.
        command: the command that applies the decisions; the page shows it.
        max_photos: number of photos.

    Raises:
        RunError: the folder has no run, or its manifest cannot be read.
        NothingFoundError: no photo was changed, or none of the sampled ones can be read.
    """
    require_run(run)
    run_json = json.loads(read(run.run_json))
    job = run_json["job"]
    sample = sample_by_risk(run, max_photos, has_restorer=job["restorer"] != "identity")
    if not sample.strata:
        raise NothingFoundError(
            f"{run.uri} has no photos to review: none is committed whose result differs from its input, whose input "
            "is still there, and which no review has decided about"
        )
    shown, unusable = _load_photos(sample, job)
    if not shown:
        raise NothingFoundError(f"none of the {len(unusable)} sampled photos can be read, such as {unusable[0]}")
    review = _make_review(run, sample, shown)
    page = ReviewPage(
        title=f"Review of {run_json['name']}",
        photos=tuple(photo.preview for photo in shown),
        review=review.model_dump(mode="json"),
        confidence=CONFIDENCE,
        command=command,
        unusable=unusable,
    )
    shown_uris = [photo.row[column] for photo in shown for column in ("input_uri", "output_uri")]
    write(uri, render_review(page).encode(), common_permissions(shown_uris))
    return ReviewPageResult(uri, review, unusable)


def _load_photos(sample: ReviewSample, job: Mapping[str, Any]) -> tuple[list[ReportPhoto], tuple[str, ...]]:
    """Read the photos; those whose results are not the ones of their rows cannot be used."""
    shown, unusable = list[ReportPhoto](), list[str]()
    rows = chain.from_iterable(sample.rows)
    for row, photo in prefetch_map(partial(load_report_photo, job=job), rows, _READ_THREADS):
        if photo is None or photo.result_sha256 != row["output_sha256"]:
            unusable.append(row["file_name"])
        else:
            shown.append(photo)
    return shown, tuple(unusable)


def _make_review(run: RunPaths, sample: ReviewSample, shown: list[ReportPhoto]) -> Review:
    numbers = {row["input_uri"]: number for number, rows in enumerate(sample.rows) for row in rows}
    return Review(
        run=run.fingerprint,
        accepted_before=sample.accepted_before,
        rejected_before=sample.rejected_before,
        strata=sample.strata,
        photos=tuple(
            ReviewedPhoto(
                input=photo.row["input_uri"],
                file_name=photo.row["file_name"],
                result_sha256=photo.result_sha256,
                stratum=numbers[photo.row["input_uri"]],
                decision=Decision.UNDECIDED,
            )
            for photo in shown
        ),
    )
