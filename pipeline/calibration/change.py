"""Measuring on calibration pairs what a map changes: the gains of its bands and its error curves."""

from collections.abc import Sequence
from dataclasses import replace

from deepot.transport import ChangeModel, TransportMap, fit_change
from pipeline.calibration.moments import run_with_refusals
from pipeline.calibration.shard_moments import compute_shard_change
from pipeline.calibration.stored_moments import read_change_blocks
from pipeline.calibration.tasks import MomentsTask, MomentsTaskExecutor, list_pending_change_tasks
from pipeline.progress import Progress
from pipeline.runs import Shard, check_lease
from pipeline.storage import write

MAX_MEASURED_PHOTOS = 64
"""The most calibration pairs that the change is measured on: each of them is encoded once more and decoded twice."""


def measure_map_change(
    tasks: Sequence[MomentsTask], fitted: TransportMap, execute: MomentsTaskExecutor, progress: Progress
) -> ChangeModel | None:
    """Measure a map on calibration pairs; None if the job's calibration has none, or none of them can be measured.

    Args:
        tasks: all tasks of the calibration.
        fitted: the map, which is not stored yet.
        execute: runs a function on tasks.
        progress: receives the number of processed photos.

    Raises:
        RunError: workers die whatever they process.
        AccessDeniedError: storage refuses the photos, not only some of them.
    """
    if not tasks[0].job.measures_change:
        return None
    paths, map_sha256 = tasks[0].paths, fitted.sha256
    check_lease(paths)
    write(paths.unmeasured_map(map_sha256), fitted.to_bytes())
    chosen = [replace(task, map_sha256=map_sha256) for task in _choose_photos(tasks)]
    pending = list_pending_change_tasks(chosen)
    progress.begin("change", sum(len(task.shard.entries) for task in pending))
    for result in run_with_refusals(compute_shard_change, tasks, pending, execute):
        progress.advance(result.images + len(result.unusable), len(result.unusable))
    progress.end()
    return fit_change(read_change_blocks(paths, map_sha256, [task.shard.number for task in chosen]))


def _choose_photos(tasks: Sequence[MomentsTask]) -> list[MomentsTask]:
    """Return the tasks with at most `MAX_MEASURED_PHOTOS` photos, spread evenly over all shards; without empty ones."""
    step = -(-sum(len(task.shard.entries) for task in tasks) // MAX_MEASURED_PHOTOS)
    chosen, first = [], 0
    for task in tasks:
        entries = task.shard.entries[-first % step :: step]
        first += len(task.shard.entries)
        if entries:
            chosen.append(replace(task, shard=Shard(task.shard.number, tuple(entries))))
    return chosen
