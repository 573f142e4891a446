"""The file of decisions that a review page saves: its format, and strict reading."""

import json
from collections import Counter
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import ConfigError
from pipeline.runs import RunPaths
from pipeline.storage import absolute_uri, read

FORMAT, VERSION = "deepot-decisions", 1
_CONFIG = ConfigDict(strict=True, frozen=True, extra="forbid")
_Count = Annotated[int, Field(ge=0)]


class Decision(StrEnum):
    """What a person decided about the result of a photo."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNDECIDED = "undecided"


class ReviewStratum(BaseModel):
    """A part of the photos of a run, by risk.

    Attributes:
        label: its name.
        photos: how many photos of the run it has.
    """

    model_config = _CONFIG

    label: str
    photos: _Count


class ReviewedPhoto(BaseModel):
    """A photo of the sample.

    Attributes:
        input: URI of the input, as the manifest has it.
        file_name: its name, as the manifest has it.
        result_sha256: SHA-256 of the result that the page showed.
        stratum: index of its stratum.
        decision: the decision.
    """

    model_config = _CONFIG

    input: str
    file_name: str
    result_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    stratum: _Count
    decision: Decision


class Review(BaseModel):
    """A review of a run: the file that the page saves.

    Attributes:
        format: `deepot-decisions`.
        version: 1.
        run: the fingerprint of the run, the name of its folder.
        accepted_before: photos that earlier reviews of the run have accepted, which no stratum counts.
        rejected_before: photos that earlier reviews of the run have rejected, which no stratum counts.
        strata: the parts that the sample was taken from, the riskiest one first.
        photos: the sample.
    """

    model_config = _CONFIG

    format: str = FORMAT
    version: int = VERSION
    run: str
    accepted_before: _Count = 0
    rejected_before: _Count = 0
    strata: tuple[ReviewStratum, ...]
    photos: tuple[ReviewedPhoto, ...]


def read_review(uri: str, run: RunPaths) -> Review:
    """Read a file of decisions about a run.

    Raises:
        ConfigError: there is no such file, it is not a file of decisions, or it belongs to another run.
    """
    try:
        data = read(absolute_uri(uri))
    except FileNotFoundError as error:
        raise ConfigError(f"{uri} does not exist: save the decisions on the page of 'deepot review'") from error
    review = _parse_review(data, uri)
    if review.run != run.fingerprint:
        raise ConfigError(
            f"{uri} has decisions about the run {review.run}, and this is the run {run.fingerprint}: results of other "
            "settings need a review of their own ('deepot review')"
        )
    return review


def _parse_review(data: bytes, uri: str) -> Review:
    """Parse the bytes of a file of decisions; `uri` is for messages.

    Raises:
        ConfigError: it is not a file of decisions, or it contradicts itself.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{uri} is not JSON ({error}): save the decisions on the review page again") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ConfigError(f"{uri} is not a file of decisions: its format is not {FORMAT}")
    if content.get("version") != VERSION:
        raise ConfigError(
            f"{uri} has version {content.get('version')} of {FORMAT}, and this deepot reads version {VERSION}"
        )
    try:
        review = Review.model_validate_json(data)
    except ValidationError as error:
        raise ConfigError(f"{uri}: {_describe_first(error)}") from error
    _check_consistency(review, uri)
    return review


def _describe_first(error: ValidationError) -> str:
    """Return the first problem as a sentence with its place and value."""
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"])) or "the file"
    return f"{place}: {first['msg'][0].lower()}{first['msg'][1:]}, not {first['input']!r:.200}"


def _check_consistency(review: Review, uri: str) -> None:
    """Check that every photo occurs once, in a stratum that has room for it.

    Raises:
        ConfigError: one does not.
    """
    counts = Counter(photo.input for photo in review.photos)
    if (repeated := next((name for name, count in counts.items() if count > 1), None)) is not None:
        raise ConfigError(f"{uri}: {repeated} occurs {counts[repeated]} times; every photo has one decision")
    per_stratum = Counter(photo.stratum for photo in review.photos)
    for number, n_photos in per_stratum.items():
        if number >= len(review.strata):
            raise ConfigError(f"{uri}: a photo is in stratum {number}, and there are {len(review.strata)} strata")
        if n_photos > review.strata[number].photos:
            raise ConfigError(
                f"{uri}: stratum {number} has {review.strata[number].photos} photos, and {n_photos} of them are listed"
            )
