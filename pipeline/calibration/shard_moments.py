"""What a worker does for the statistics: it computes and stores the moments of one shard of photos."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from deepot.inference import (
    band_sides,
    degrade_photo,
    measure_change,
    measure_energies,
    photo_statistics,
    prepare_for_second_degradation,
    tone_sums,
)
from deepot.photo import Pixels
from deepot.restoration import rng_for
from deepot.transport import (
    CalibrationKind,
    ChangeSums,
    EnergySums,
    Moments,
    PatchStatistics,
    ToneSums,
    TransportMap,
    load_map_kind,
)
from pipeline.calibration.sides import Side
from pipeline.calibration.tasks import MomentsTask, MomentsTaskResult, allowed_names, list_sides
from pipeline.config import Limits
from pipeline.errors import AccessDeniedError, ErrorCode, ImageError
from pipeline.failures import DEVICE_ERRORS, error_code, error_message
from pipeline.imageio import decode
from pipeline.sources import read_input
from pipeline.storage import Entry, read, write
from pipeline.workers import Models, hard_deadline, load_models, scaled_timeout_s, tile_options

_SumsT = TypeVar("_SumsT", ToneSums, ChangeSums, EnergySums)


@dataclass(frozen=True)
class CalibrationPhoto:
    """A photo as it looks on the sides of a task.

    Attributes:
        sides: the photo on each side.
        degraded: the restorer's input; None if the photo was not degraded.
    """

    sides: dict[Side, Pixels]
    degraded: Pixels | None = None


def compute_shard_moments(task: MomentsTask) -> MomentsTaskResult:
    """Compute and store the moments of a task's photos, and the statistics that the kind of map needs besides.

    Nothing is stored if storage refuses photos and there is none that it is known to return.

    Raises:
        AccessDeniedError: storage refuses photos, and the one that it returned before, too.
    """
    models = load_models(task.job, task.allow_code)
    metadata = {"autoencoder_sha256": models.autoencoder.sha256}
    totals, result = _accumulate_statistics(task, models)
    if result.refused_task is not None:
        return result
    for side, total in totals.items():
        if not isinstance(total, Moments):  # before the moments, which mark the shard as done
            write(task.paths.map_statistics(side, task.shard.number), total.to_bytes(metadata))
    for side, total in totals.items():
        write(task.paths.moments(side, task.shard.number), total.moments().to_bytes(metadata))
    return result


def compute_shard_tone(task: MomentsTask) -> MomentsTaskResult:
    """Compute and store the sums of the tone curve over a task's photos, which serve both sides.

    Nothing is stored if storage refuses photos and there is none that it is known to return.

    Raises:
        AccessDeniedError: storage refuses photos, and the one that it returned before, too.
    """

    def sum_of(photo: CalibrationPhoto) -> ToneSums:
        return tone_sums(photo.sides[Side.SOURCE], photo.sides[Side.REFERENCE])

    models = load_models(task.job, task.allow_code)
    return _store_sum(task, models, ToneSums.empty(), sum_of, task.paths.tone_sums(task.shard.number))


def compute_shard_change(task: MomentsTask) -> MomentsTaskResult:
    """Compute and store the sums that show what a task's map changes in its photos, which serve both sides.

    Nothing is stored if storage refuses photos and there is none that it is known to return.

    Raises:
        AccessDeniedError: storage refuses photos, and the one that it returned before, too.
    """
    models = load_models(task.job, task.allow_code)
    autoencoder, transport = models.autoencoder, _read_map(task)
    operator = transport.operator_on(autoencoder.device)

    def sum_of(photo: CalibrationPhoto) -> ChangeSums:
        restored, natural, companion = photo.sides[Side.SOURCE], photo.sides[Side.REFERENCE], None
        if task.job.has_companion and photo.degraded is not None:
            companion = photo.degraded.resize(restored.height, restored.width)
        return measure_change(autoencoder, operator, restored, natural, transport.tone, companion)

    empty = ChangeSums.empty(len(band_sides(autoencoder.factor)) + 1)
    return _store_sum(task, models, empty, sum_of, task.paths.change_sums(task.map_sha256, task.shard.number))


def compute_shard_energies(task: MomentsTask) -> MomentsTaskResult:
    """Compute and store the band energies of a task's photos, which serve one side, and those of what the map changes.

    Nothing is stored if storage refuses photos and there is none that it is known to return.

    Raises:
        AccessDeniedError: storage refuses photos, and the one that it returned before, too.
    """
    models = load_models(task.job, task.allow_code)
    autoencoder = models.autoencoder
    operator = _read_map(task).operator_on(autoencoder.device) if task.side is Side.SOURCE else None

    def sum_of(photo: CalibrationPhoto) -> EnergySums:
        return measure_energies(autoencoder, photo.sides[task.side], operator)

    uri = task.paths.energy_sums(task.map_sha256, task.side, task.shard.number)
    return _store_sum(task, models, EnergySums.empty(len(band_sides(autoencoder.factor))), sum_of, uri)


def dry_run_photos(task: MomentsTask) -> MomentsTaskResult:
    """Process the photos of a task without storing anything."""
    _accumulate_statistics(task, load_models(task.job, task.allow_code))
    return MomentsTaskResult(len(task.shard.entries))


def _read_map(task: MomentsTask) -> TransportMap:
    """Return the map of a task, whose change is to be measured."""
    uri = task.paths.unmeasured_map(task.map_sha256)
    return TransportMap.from_bytes(read(uri), uri)


def _store_sum(
    task: MomentsTask, models: Models, empty: _SumsT, sum_of: Callable[[CalibrationPhoto], _SumsT], uri: str
) -> MomentsTaskResult:
    """Merge and store the sums over each of a task's photos; nothing is stored if storage refuses photos.

    Raises:
        AccessDeniedError: storage refuses photos, and the one that it returned before, too.
    """
    total = empty

    def add_photo(photo: CalibrationPhoto) -> None:
        nonlocal total
        total = total.merge(sum_of(photo))

    result = _process_photos(task, models, add_photo)
    if result.refused_task is None:
        write(uri, total.to_bytes())
    return result


def _accumulate_statistics(task: MomentsTask, models: Models) -> tuple[dict[Side, PatchStatistics], MomentsTaskResult]:
    """Accumulate the statistics of a task's photos.

    Returns:
        The statistics of each side, and what has been done.

    Raises:
        AccessDeniedError: storage refuses photos, and the one that it returned before, too.
    """
    patch_size, tiles = task.job.transport.patch_size, tile_options(task.job)
    kind = load_map_kind(task.job.transport.map_kind)
    empty: PatchStatistics = kind.statistics.empty(models.autoencoder.channels * patch_size**2)
    totals = dict.fromkeys(list_sides(task), empty)

    def add_photo(photo: CalibrationPhoto) -> None:
        tones = {Side.SOURCE: task.tone}
        found = {
            side: photo_statistics(models.autoencoder, pixels, kind, patch_size, tiles, tones.get(side))
            for side, pixels in photo.sides.items()
        }
        for side, statistics in found.items():  # after both sides are known: a photo counts on both or on none
            totals[side] = totals[side].merge(statistics)

    return totals, _process_photos(task, models, add_photo)


def _process_photos(
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
        return CalibrationPhoto({Side.SOURCE: models.calibration_restorer(pixels)})
    natural = pixels
    if task.job.calibration_kind is CalibrationKind.SELF:
        natural = prepare_for_second_degradation(models.restorer(pixels), models.degradation)
    degraded = degrade_photo(natural, models.degradation, rng_for(data))
    return CalibrationPhoto({Side.SOURCE: models.calibration_restorer(degraded), Side.REFERENCE: natural}, degraded)
