"""The photos of a calibration's shard as they look on its sides, and sums over them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from deepot.inference import degrade_photo, prepare_for_second_degradation
from deepot.photo import Pixels
from deepot.restoration import rng_for
from deepot.transport import CalibrationKind
from pipeline.calibration.sides import Side
from pipeline.calibration.tasks import MomentsTask, MomentsTaskResult, allowed_names
from pipeline.config import Limits
from pipeline.errors import AccessDeniedError, ErrorCode, ImageError
from pipeline.failures import DEVICE_ERRORS, error_code, error_message
from pipeline.imageio import decode
from pipeline.sources import read_input
from pipeline.storage import Entry, write
from pipeline.workers import Models, hard_deadline, scaled_timeout_s


@dataclass(frozen=True)
class CalibrationPhoto:
    """A photo as it looks on the sides of a task.

    Attributes:
        sides: the photo on each side.
        degraded: the photo before it was restored; None if it was neither degraded nor restored.
    """

    sides: dict[Side, Pixels]
    degraded: Pixels | None = None


def store_sums(
    task: MomentsTask,
    models: Models,
    empty: Mapping[str, Any],
    sums_of: Callable[[CalibrationPhoto], Mapping[str, Any]],
) -> MomentsTaskResult:
    """Merge and store statistics of each of a task's photos; nothing is stored if storage refuses photos.

    Args:
        task: the task.
        models: the models.
        empty: the statistics of no photos, by the URI of their file. The last one marks the shard as done.
        sums_of: returns those of a photo; files that it leaves out get nothing from the photo.

    Raises:
        AccessDeniedError: storage refuses photos, and the one that it returned before, too.
    """
    totals = dict(empty)

    def add_photo(photo: CalibrationPhoto) -> None:
        for uri, found in sums_of(photo).items():
            totals[uri] = totals[uri].merge(found)

    result = process_photos(task, models, add_photo)
    if result.refused_task is None:
        for uri, total in totals.items():
            write(uri, total.to_bytes())
    return result


def process_photos(
    task: MomentsTask, models: Models, add_photo: Callable[[CalibrationPhoto], None]
) -> MomentsTaskResult:
    """Read a task's photos and pass each of them, as it looks on the task's sides, to a function.

    Photos that cannot be read or processed are recorded as unusable.

    Raises:
        AccessDeniedError: storage refuses photos, and the one that it returned before, too.
    """
    limits, allow = task.job.limits, allowed_names(task)
    unusable: list[tuple[str, str]] = []
    last_used: Entry | None = None
    refusal = ""  # of a photo after the last one that was used
    for entry in task.shard.entries:
        try:
            with hard_deadline(limits.image_timeout_s):
                data = read_input(entry, limits, allow)
                photo = decode(data, limits.max_pixels).pixels
            with hard_deadline(scaled_timeout_s(limits.image_timeout_s, photo.width * photo.height)):
                add_photo(_make_sides(task, models, data, photo))
        except DEVICE_ERRORS:
            raise
        except Exception as error:
            code, message = error_code(error), error_message(error)
            unusable.append((entry.uri, f"{code}: {message}"))
            refusal = message if code is ErrorCode.ACCESS_DENIED else refusal
            continue
        last_used, refusal = entry, ""
    is_refused = bool(refusal) and not _has_access(last_used or task.readable, limits)
    if is_refused and task.readable is not None:
        raise AccessDeniedError(refused_photos_message(refusal))
    n_used = len(task.shard.entries) - len(unusable)
    return MomentsTaskResult(n_used, tuple(unusable), None, task if is_refused else None, last_used)


def refused_photos_message(refusal: str) -> str:
    """Return why a calibration stops whose photos storage refuses.

    Args:
        refusal: the message of the last one.
    """
    return (
        f"storage refuses the photos of the calibration: {refusal}. Renew the credentials and run the same command "
        "again. If only these photos are closed to you, exclude them from the calibration"
    )


def _has_access(entry: Entry | None, limits: Limits) -> bool:
    """Whether a photo that was read before can still be read, so that storage refuses some photos and not all."""
    if entry is None:
        return False
    try:
        read_input(entry, limits)
    except ImageError as error:
        return error.code is not ErrorCode.ACCESS_DENIED
    return True


def _make_sides(task: MomentsTask, models: Models, data: bytes, pixels: Pixels) -> CalibrationPhoto:
    """Return a photo as it looks on each of the task's sides.

    Args:
        task: the task.
        models: the models.
        data: the bytes of the photo's file, which seed the degradation.
        pixels: the decoded photo.
    """
    if task.side is Side.REFERENCE:
        return CalibrationPhoto({Side.REFERENCE: pixels})
    if task.side is Side.SOURCE or models.degradation is None:
        return CalibrationPhoto({Side.SOURCE: models.calibration_restorer(pixels)}, pixels)
    natural = pixels
    if task.job.calibration_kind is CalibrationKind.SELF:
        natural = prepare_for_second_degradation(models.restorer(pixels), models.degradation)
    degraded = degrade_photo(natural, models.degradation, rng_for(data))
    return CalibrationPhoto({Side.SOURCE: models.calibration_restorer(degraded), Side.REFERENCE: natural}, degraded)
