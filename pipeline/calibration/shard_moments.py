"""What a worker does for the statistics: it computes and stores the moments of one shard of photos."""

from deepot.inference import photo_statistics, tone_sums
from deepot.transport import Moments, PatchStatistics, ToneSums, load_map_kind
from pipeline.calibration.shard_photos import CalibrationPhoto, process_photos, store_sums
from pipeline.calibration.sides import Side
from pipeline.calibration.tasks import MomentsTask, MomentsTaskResult, list_sides
from pipeline.storage import write
from pipeline.workers import Models, load_models, tile_options


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
    uri = task.paths.tone_sums(task.shard.number)
    return store_sums(task, models, {uri: ToneSums.empty()}, lambda photo: {uri: sum_of(photo)})


def dry_run_photos(task: MomentsTask) -> MomentsTaskResult:
    """Process the photos of a task without storing anything."""
    _accumulate_statistics(task, load_models(task.job, task.allow_code))
    return MomentsTaskResult(len(task.shard.entries))


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

    return totals, process_photos(task, models, add_photo)
