"""Statistics: the moments of both sides of a calibration, a shard at a time, merged over a fixed tree."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from deepot.inference import degrade_photo, photo_statistics
from deepot.photo import Pixels
from deepot.restoration import rng_for
from deepot.transport import CalibrationKind, Moments, PatchStatistics, load_map_kind, merge_in_order
from pipeline.calibration.paths import CalibrationPaths
from pipeline.calibration.photo_lists import append_photos, iter_photo_shards
from pipeline.config import Job, Photos
from pipeline.errors import ErrorCode, NothingFoundError, RunError
from pipeline.failures import DEVICE_ERRORS, error_code, error_message
from pipeline.imageio import decode
from pipeline.progress import Progress
from pipeline.runs import Shard
from pipeline.sources import find_images, read_input, sample_by_hash
from pipeline.storage import Entry, list_names, read, write
from pipeline.workers import Models, hard_deadline, load_models, scaled_timeout_s, tile_options

log = logging.getLogger(__name__)

CRASH_MESSAGE = "the worker process died over this photo, alone"

SOURCE_SIDE, REFERENCE_SIDE, BOTH_SIDES = "source", "reference", "both"
_MAX_FAILURES_WITHOUT_SUCCESS = 8  # photos lost alone, while nothing has been done
MAX_MOMENT_BLOCKS = 32
"""Neighbouring shards are merged until there are no more: evidence is weighed by leaving one out at a time."""


@dataclass(frozen=True)
class MomentsTask:
    """One shard of the statistics: all that a worker needs to know.

    Attributes:
        job: the job.
        allow_code: whether `module:factory` may be imported.
        paths: of the calibration.
        side: source, reference, or both where the same photos serve both.
        shard: the photos.
    """

    job: Job
    allow_code: bool
    paths: CalibrationPaths
    side: str
    shard: Shard


@dataclass(frozen=True)
class MomentsTaskResult:
    """What a statistics task did: photos used, those it could not use with the reason, and whether its worker died."""

    images: int
    unusable: tuple[tuple[str, str], ...] = ()
    crashed_task: MomentsTask | None = None


def make_crash_result(task: MomentsTask) -> MomentsTaskResult:
    """What is known of a task whose worker died, again and again."""
    return MomentsTaskResult(0, crashed_task=task)


TaskExecutor = Callable[
    [Callable[[MomentsTask], MomentsTaskResult], Sequence[MomentsTask]], Iterable[MomentsTaskResult]
]
"""Runs a function on tasks, results in any order; in a process or on a cluster."""


def make_moments_tasks(
    job: Job, paths: CalibrationPaths, allow_code: bool, exclude: Sequence[str], *, relist: bool = True
) -> list[MomentsTask]:
    """The statistics of a job as tasks, over frozen lists of photos.

    Shards are cut by the lists alone: how far a map is trusted depends on them.

    Args:
        job: the job.
        paths: of the calibration.
        allow_code: whether `module:factory` may be imported.
        exclude: folders whose files are not photos of the input.
        relist: list the photos again, so that new ones are added; otherwise those of the lists are all.

    Raises:
        NothingFoundError: there are no photos of a side.
        StorageError: they cannot be listed.
    """
    given, limit = job.calibration, job.calibration_limit
    photo_sets: dict[str, tuple[Photos, Sequence[str]]] = {}
    if given and given.reference and given.restored and job.calibration_kind is CalibrationKind.UNPAIRED:
        photo_sets = {REFERENCE_SIDE: (given.reference, ()), SOURCE_SIDE: (given.restored, ())}
    elif given and given.reference:
        photo_sets = {BOTH_SIDES: (given.reference, ())}
    else:
        photo_sets = {BOTH_SIDES: (job.input, exclude)}
    for side, (photos, excluded_folders) in photo_sets.items() if relist else ():
        label = f"{side} photos" if side != BOTH_SIDES else "calibration photos"
        found = find_images(photos.images, label, excluded_folders, photos.exclude)
        append_photos(paths, side, sample_by_hash(found, limit))
    return [
        MomentsTask(job, allow_code, paths, side, shard)
        for side in photo_sets
        for shard in iter_photo_shards(paths, side)
    ]


def compute_moments(
    tasks: Sequence[MomentsTask], execute: TaskExecutor, progress: Progress
) -> tuple[list[Moments], list[Moments]]:
    """Gather the moments of all tasks, those that have none yet, in blocks of neighbouring shards.

    Returns:
        Blocks of the source side and of the reference side, in the order of their shards; where the same photos serve
        both, block number i is of the same ones.

    Raises:
        NothingFoundError: not one photo of a side could be used.
    """
    paths, remaining = tasks[0].paths, list_pending_tasks(tasks)
    progress.begin("statistics", sum(len(task.shard.entries) for task in remaining))
    for result in _run_tasks(remaining, execute):
        for uri, why in result.unusable:
            log.warning("not used for calibration: %s (%s)", uri, why, extra={"photo": uri})
        progress.advance(result.images + len(result.unusable), len(result.unusable))
    progress.end()
    source, reference = (
        read_moment_blocks(paths, side, list_shard_numbers(tasks, side)) for side in (SOURCE_SIDE, REFERENCE_SIDE)
    )
    for side, found in ((SOURCE_SIDE, source), (REFERENCE_SIDE, reference)):
        if not any(block.count for block in found):
            raise NothingFoundError(f"not one photo of the {side} side could be used for calibration; see the warnings")
    return source, reference


def list_pending_tasks(tasks: Sequence[MomentsTask]) -> list[MomentsTask]:
    """Of these tasks of one run, those whose moments are not stored yet."""
    paths = tasks[0].paths
    done = {side: list_names(paths.moments(side, 0).rpartition("/")[0]) for side in (SOURCE_SIDE, REFERENCE_SIDE)}
    return [task for task in tasks if not all(_moments_file_name(task) in done[side] for side in list_sides(task))]


def _run_tasks(tasks: Sequence[MomentsTask], execute: TaskExecutor) -> Iterator[MomentsTaskResult]:
    """Do tasks; where one kills its worker its photos are tried alone, and it is done without those that kill."""
    crashed, any_succeeded, n_crashed = list[MomentsTask](), False, 0
    for result in execute(compute_shard_moments, tasks):
        if result.crashed_task is None:
            any_succeeded = True
            yield result
        else:
            crashed.append(result.crashed_task)
    for task in crashed:
        crashing = set[Entry]()
        for entry in task.shard.entries:  # one at a time: where memory is short others die
            single = replace(task, shard=Shard(task.shard.number, (entry,)))
            if any(found.crashed_task for found in execute(dry_run_photos, [single])):
                crashing.add(entry)
                n_crashed += 1
            else:
                any_succeeded = True
            if n_crashed >= _MAX_FAILURES_WITHOUT_SUCCESS and not any_succeeded:
                raise RunError(
                    f"workers died over {n_crashed} photos of the calibration, each alone, and nothing else was done; the "
                    f"last is {entry.uri}. It is hardly the photos: look at the workers, their memory and devices"
                )
        rest = tuple(entry for entry in task.shard.entries if entry not in crashing)
        yield MomentsTaskResult(
            0,
            tuple(
                (entry.uri, f"{ErrorCode.WORKER_DIED}: {CRASH_MESSAGE}") for entry in sorted(crashing, key=_entry_key)
            ),
        )
        for result in execute(compute_shard_moments, [replace(task, shard=Shard(task.shard.number, rest))]):
            if result.crashed_task is not None:
                raise RunError(f"workers die over photos that they do alone, such as {task.shard.entries[0].uri}")
            yield result


def dry_run_photos(task: MomentsTask) -> MomentsTaskResult:
    """Work through the photos of a task and keep nothing."""
    _accumulate(task, load_models(task.job, task.allow_code))
    return MomentsTaskResult(len(task.shard.entries))


def _entry_key(entry: Entry) -> str:
    return entry.key


def read_map_statistics(tasks: Sequence[MomentsTask]) -> tuple[Any, Any] | None:
    """Read and merge what the kind of map is fitted from, of both sides; None if moments are all that it needs."""
    paths, statistics = tasks[0].paths, load_map_kind(tasks[0].job.transport.map_kind).statistics
    if statistics is Moments:
        return None
    uris = (
        [paths.map_statistics(side, number) for number in list_shard_numbers(tasks, side)]
        for side in (SOURCE_SIDE, REFERENCE_SIDE)
    )
    source, reference = (merge_in_order(statistics.from_bytes(read(uri), uri) for uri in side) for side in uris)
    return source, reference


def compute_shard_moments(task: MomentsTask) -> MomentsTaskResult:
    """Gather and store the moments of one shard: the body of a statistics task."""
    models = load_models(task.job, task.allow_code)
    metadata = {"autoencoder_sha256": models.autoencoder.sha256}
    totals, unusable = _accumulate(task, models)
    for side, total in totals.items():
        if not isinstance(total, Moments):  # before the moments, which mark the shard as done
            write(task.paths.map_statistics(side, task.shard.number), total.to_bytes(metadata))
    for side, total in totals.items():
        write(task.paths.moments(side, task.shard.number), total.moments().to_bytes(metadata))
    return MomentsTaskResult(len(task.shard.entries) - len(unusable), tuple(unusable))


def _accumulate(task: MomentsTask, models: Models) -> tuple[dict[str, PatchStatistics], list[tuple[str, str]]]:
    """Gather what the kind of map is fitted from over all photos of a shard, by side; also returns unusable photos."""
    patch_size, tiles, limits = task.job.transport.patch_size, tile_options(task.job), task.job.limits
    kind = load_map_kind(task.job.transport.map_kind)
    empty: PatchStatistics = kind.statistics.empty(models.autoencoder.channels * patch_size**2)
    totals = dict.fromkeys(list_sides(task), empty)
    unusable = []
    for entry in task.shard.entries:
        try:
            with hard_deadline(limits.image_timeout_s):
                data = read_input(entry, limits)
                photo = decode(data, limits.max_pixels).pixels
            with hard_deadline(scaled_timeout_s(limits.image_timeout_s, photo.width * photo.height)):
                sides = _make_sides(task, models, data, photo)
                found = {
                    side: photo_statistics(models.autoencoder, pixels, kind, patch_size, tiles)
                    for side, pixels in sides.items()
                }
        except DEVICE_ERRORS:
            raise
        except Exception as error:
            unusable.append((entry.uri, f"{error_code(error)}: {error_message(error)}"))
            continue
        totals = {side: totals[side].merge(each) for side, each in found.items()}
    return totals, unusable


def _make_sides(task: MomentsTask, models: Models, data: bytes, pixels: Pixels) -> dict[str, Pixels]:
    """One photo, of these bytes and pixels, as either side has it."""
    if task.side == REFERENCE_SIDE:
        return {REFERENCE_SIDE: pixels}
    if task.side == SOURCE_SIDE or models.degradation is None:
        return {SOURCE_SIDE: models.calibration_restorer(pixels)}
    natural = pixels if task.job.calibration and task.job.calibration.reference else models.restorer(pixels)
    return {
        SOURCE_SIDE: models.calibration_restorer(degrade_photo(natural, models.degradation, rng_for(data))),
        REFERENCE_SIDE: natural,
    }


def read_moment_blocks(paths: CalibrationPaths, side: str, numbers: Sequence[int]) -> list[Moments]:
    """The moments of some shards of a side, which have been gathered, in blocks of neighbours."""
    block_size = -(-len(numbers) // MAX_MOMENT_BLOCKS)
    return [
        read_merged_moments(paths, side, numbers[first : first + block_size])
        for first in range(0, len(numbers), block_size)
    ]


def read_merged_moments(paths: CalibrationPaths, side: str, numbers: Iterable[int]) -> Moments:
    """The moments of some shards of a side, which have been gathered."""
    uris = (paths.moments(side, number) for number in numbers)
    return merge_in_order(Moments.from_bytes(read(uri), uri) for uri in uris)


def list_shard_numbers(tasks: Sequence[MomentsTask], side: str) -> list[int]:
    """Numbers of the shards of a side."""
    return sorted(task.shard.number for task in tasks if side in list_sides(task))


def list_sides(task: MomentsTask) -> tuple[str, ...]:
    """The sides whose moments a task gives."""
    return (SOURCE_SIDE, REFERENCE_SIDE) if task.side == BOTH_SIDES else (task.side,)


def _moments_file_name(task: MomentsTask) -> str:
    return task.paths.moments(SOURCE_SIDE, task.shard.number).rpartition("/")[2]
