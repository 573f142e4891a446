"""The statistics of a calibration as tasks, each for one shard of photos."""

from collections.abc import Sequence
from dataclasses import dataclass

from deepot.transport import CalibrationKind, Moments, ToneCurve, load_map_kind
from pipeline.calibration.paths import CalibrationPaths
from pipeline.calibration.photo_lists import append_photos, iter_photo_shards
from pipeline.calibration.sides import Side
from pipeline.config import Job, Photos
from pipeline.runs import Shard
from pipeline.sources import find_images, sample_by_hash
from pipeline.storage import Entry, list_names, parent_uri
from pipeline.workers import TaskExecutor


@dataclass(frozen=True)
class MomentsTask:
    """The statistics of one shard: everything that a worker needs to know.

    Attributes:
        job: the job.
        allow_code: whether `module:factory` may be imported.
        paths: the folder of the calibration.
        side: the side that the photos belong to.
        shard: the photos.
        readable: a photo that storage has returned; it is read again if storage refuses photos of this task.
        tone: the tone curve that restored photos get before they are encoded; None if the calibration has none.
        map_sha256: SHA-256 of the map whose change is measured; empty until there is one.
        measures_states: whether the moments that tests of natural photos are fitted to are measured besides.
    """

    job: Job
    allow_code: bool
    paths: CalibrationPaths
    side: Side
    shard: Shard
    readable: Entry | None = None
    tone: ToneCurve | None = None
    map_sha256: str = ""
    measures_states: bool = False


@dataclass(frozen=True)
class MomentsTaskResult:
    """What a task has done.

    Attributes:
        images: number of photos whose moments are stored.
        unusable: URIs of the other photos, each with the reason.
        crashed_task: the task, if its worker died; None otherwise.
        refused_task: the task, if storage refused its photos and it is not known whether it refuses others,
            too: nothing is stored then; None otherwise.
        last_used: the last photo whose moments are stored; None if there is none.
    """

    images: int
    unusable: tuple[tuple[str, str], ...] = ()
    crashed_task: MomentsTask | None = None
    refused_task: MomentsTask | None = None
    last_used: Entry | None = None


MomentsTaskExecutor = TaskExecutor[MomentsTask, MomentsTaskResult]


def make_crash_result(task: MomentsTask) -> MomentsTaskResult:
    """Return the result of a task whose workers died repeatedly."""
    return MomentsTaskResult(0, crashed_task=task)


def make_moments_tasks(
    job: Job, paths: CalibrationPaths, allow_code: bool, exclude: Sequence[str], *, relist: bool = True
) -> list[MomentsTask]:
    """Return the tasks of a job's statistics, over the frozen lists of its calibration photos.

    Shards are cut by the lists alone, because the uncertainty of the map depends on them.

    Args:
        job: the job.
        paths: the folder of the calibration.
        allow_code: whether `module:factory` may be imported.
        exclude: folders whose files are not photos of the input.
        relist: whether to list the photos again and add new ones; otherwise the existing lists are used as they are.

    Raises:
        NothingFoundError: there are no photos of one side.
        StorageError: the photos cannot be listed.
    """
    photo_sets = _photo_sets(job, exclude)
    for side, (photos, excluded_folders) in photo_sets.items() if relist else ():
        label = f"{side} photos" if side is not Side.BOTH else "calibration photos"
        found = find_images(
            photos.images,
            label,
            excluded_folders,
            photos.exclude,
            photos.allow,
            streams=photos.list_streams,
            inventory=photos.inventory,
            limits=job.limits,
        )
        append_photos(paths, side, sample_by_hash(found, job.calibration_limit))
    return [
        MomentsTask(job, allow_code, paths, side, shard)
        for side in photo_sets
        for shard in iter_photo_shards(paths, side)
    ]


def _photo_sets(job: Job, exclude: Sequence[str]) -> dict[Side, tuple[Photos, Sequence[str]]]:
    """Return the photos of each side, with the folders to leave out."""
    given = job.calibration
    if given and given.reference and given.restored and job.calibration_kind is CalibrationKind.UNPAIRED:
        return {Side.REFERENCE: (given.reference, ()), Side.SOURCE: (given.restored, ())}
    if given and given.reference:
        return {Side.BOTH: (given.reference, ())}
    return {Side.BOTH: (job.input, exclude)}


def allowed_names(task: MomentsTask) -> tuple[str, ...]:
    """Return what Parquet files among the photos of a task may name, as for `read_input`."""
    return _photo_sets(task.job, ())[task.side][0].allow


def list_pending_tasks(tasks: Sequence[MomentsTask]) -> list[MomentsTask]:
    """List those tasks of one calibration whose moments, or other statistics of the map, are not stored yet."""
    paths, sides = tasks[0].paths, (Side.SOURCE, Side.REFERENCE)
    done = {side: set(list_names(paths.moments(side))) for side in sides}
    if load_map_kind(tasks[0].job.transport.map_kind).statistics is not Moments:
        for side in sides:
            done[side] &= set(list_names(parent_uri(paths.map_statistics(side, 0))))
    return [task for task in tasks if not all(_shard_file_name(task) in done[side] for side in list_sides(task))]


def list_pending_tone_tasks(tasks: Sequence[MomentsTask]) -> list[MomentsTask]:
    """List those tasks of one calibration whose sums of the tone curve are not stored yet."""
    return _list_missing(tasks, tasks[0].paths.tone_sums(0))


def list_pending_change_tasks(tasks: Sequence[MomentsTask]) -> list[MomentsTask]:
    """List those tasks of one map whose sums of the change, or band energies of one side, are not stored yet."""
    pending = []
    for side in dict.fromkeys(task.side for task in tasks):
        of_side = [task for task in tasks if task.side is side]
        paths, map_sha256 = of_side[0].paths, of_side[0].map_sha256
        any_uri = paths.change_sums(map_sha256, 0) if side is Side.BOTH else paths.energy_sums(map_sha256, side, 0)
        pending += _list_missing(of_side, any_uri)
    return pending


def _list_missing(tasks: Sequence[MomentsTask], any_uri: str) -> list[MomentsTask]:
    """List the tasks whose shards have no file in the folder of a URI."""
    done = set(list_names(parent_uri(any_uri)))
    return [task for task in tasks if _shard_file_name(task) not in done]


def list_shard_numbers(tasks: Sequence[MomentsTask], side: Side) -> list[int]:
    """List the numbers of the shards of one side, in order."""
    return sorted(task.shard.number for task in tasks if side in list_sides(task))


def list_sides(task: MomentsTask) -> tuple[Side, ...]:
    """List the sides whose moments a task computes."""
    return (Side.SOURCE, Side.REFERENCE) if task.side is Side.BOTH else (task.side,)


def _shard_file_name(task: MomentsTask) -> str:
    """Return the name that the files of a task's shard have in every folder of statistics."""
    return task.paths.moments(Side.SOURCE, task.shard.number).rpartition("/")[2]
