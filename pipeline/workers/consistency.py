"""What a result must not contradict, and whether the file that was written does."""

import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from deepot.inference import (
    CellMeanConstraint,
    Constraint,
    ConstraintFactory,
    Contradictions,
    JpegConstraint,
    ReductionConstraint,
)
from deepot.photo import JpegCoefficients, Pixels
from pipeline.imageio import DecodedImage, decode

NO_CONSTRAINT = "none"
"""The name in the manifest where nothing is known that a result might contradict."""
_INVERSE_ORIENTATIONS = {6: 8, 8: 6}  # the others are their own inverse


def constraint_factory(
    coefficients: JpegCoefficients | None, restored: Pixels, reduced: Pixels | None = None
) -> ConstraintFactory | None:
    """Return what makes the constraint of a restored photo; None if nothing is known but the mode of the transport.

    Args:
        coefficients: those of the file that the photo was decoded from; None if they do not limit its result.
        restored: the restored photo.
        reduced: the small photo that the restorer enlarged, if it limits the result.
    """
    if coefficients is not None and coefficients.matches(restored.samples):
        return partial(JpegConstraint, coefficients)
    factor = restored.height // reduced.height if reduced is not None else 1
    if reduced is None or reduced.alpha is not None or reduced.samples.dtype != np.uint8 or factor < 2:
        return None
    return partial(ReductionConstraint, reduced.samples, factor)


def judge_result(data: bytes, photo: DecodedImage, constraints: Sequence[Constraint | None]) -> dict[str, Any]:
    """Return the columns `consistency` and `contradiction` of a result, from the file as it is decoded.

    Args:
        data: the file.
        photo: the photo with the pages that were written.
        constraints: the constraint of each page.
    """
    known = [constraint for constraint in constraints if constraint is not None]
    if len(known) < len(photo.pages):
        return {"consistency": NO_CONSTRAINT}
    columns = {"consistency": known[0].name}
    written = decode(data, sys.maxsize).pages
    if len(written) != len(known):
        return columns
    orientation = photo.properties["orientation"]
    if isinstance(known[0], CellMeanConstraint) and not all(
        any(np.array_equal(each.samples, meant.samples) for each in _orient(page, meant, orientation))
        for meant, page in zip(photo.pages, written, strict=True)
    ):
        return columns  # of samples that coding has changed, cells have other means
    outside = total = 0
    for constraint, meant, page in zip(known, photo.pages, written, strict=True):
        counts = judge_decoded(constraint, meant, page, orientation)
        if counts is None:
            return columns
        outside, total = outside + counts.outside, total + counts.total
    return columns | {"contradiction": outside / total if total else 0.0}


def judge_decoded(
    constraint: Constraint, meant: Pixels, page: Pixels, orientation: int | None
) -> Contradictions | None:
    """Count the contradictions of a page as it was decoded; None if it has another size or other channels than meant.

    Args:
        constraint: its constraint.
        meant: a page of the size and the channels that it should have.
        page: the page, in the stored orientation of the photo or upright.
        orientation: the orientation of the photo by EXIF.
    """
    return min((constraint.count(each) for each in _orient(page, meant, orientation)), default=None)


def _orient(page: Pixels, meant: Pixels, orientation: int | None) -> list[Pixels]:
    """Return a written page in each orientation that it may have been written in, without other sizes or channels."""
    candidates = [page]
    if orientation and orientation > 1:
        candidates.append(page.apply_orientation(_INVERSE_ORIENTATIONS.get(orientation, orientation)))
    return [each for each in candidates if each.samples.shape == meant.samples.shape]
