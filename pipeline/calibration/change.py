"""Measuring a map on calibration photos: gains, error curves of pairs, and tests of photos that look natural."""

from collections.abc import Sequence
from dataclasses import replace

from deepot.transport import TransportMap, fit_change, fit_energy_gains, fit_photo_curves
from pipeline.calibration.moments import run_with_refusals
from pipeline.calibration.natural_tests import fit_natural_tests
from pipeline.calibration.shard_change import compute_shard_change, compute_shard_energies
from pipeline.calibration.sides import Side
from pipeline.calibration.stored_moments import read_change_blocks, read_energies
from pipeline.calibration.tasks import MomentsTask, MomentsTaskExecutor, list_pending_change_tasks
from pipeline.progress import Progress
from pipeline.runs import Shard, check_lease
from pipeline.storage import write
from pipeline.workers import load_models

MAX_MEASURED_PHOTOS = 64
"""The most calibration pairs, or photos of a side, that are measured: restored ones are encoded and decoded again."""


def measure_map(
    tasks: Sequence[MomentsTask], fitted: TransportMap, execute: MomentsTaskExecutor, progress: Progress
) -> TransportMap:
    """Measure a map on calibration photos; returns it with what was found, but for self-calibrations as it is.

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
        return fitted
    paths, map_sha256 = tasks[0].paths, fitted.sha256
    check_lease(paths)
    write(paths.unmeasured_map(map_sha256), fitted.to_bytes())
    chosen = {
        side: [replace(task, map_sha256=map_sha256) for task in _choose_photos(tasks, side)]
        for side in dict.fromkeys(task.side for task in tasks)
    }
    pending = list_pending_change_tasks([task for of_side in chosen.values() for task in of_side])
    compute = compute_shard_change if Side.BOTH in chosen else compute_shard_energies
    progress.begin("change", sum(len(task.shard.entries) for task in pending))
    for result in run_with_refusals(compute, tasks, pending, execute):
        progress.advance(result.images + len(result.unusable), len(result.unusable))
    progress.end()
    numbers = {side: [task.shard.number for task in of_side] for side, of_side in chosen.items()}
    if Side.BOTH in chosen:
        blocks = read_change_blocks(paths, map_sha256, numbers[Side.BOTH])
        change = fit_change([block.total for block in blocks])
        fitted = replace(fitted, photo_curves=fit_photo_curves(blocks, change))
    else:
        sides = (read_energies(paths, map_sha256, side, numbers[side]) for side in (Side.SOURCE, Side.REFERENCE))
        change = fit_energy_gains(*sides)
    restorer = load_models(tasks[0].job, tasks[0].allow_code).calibration_restorer
    return replace(fitted, change=change, natural_tests=fit_natural_tests(paths, map_sha256, restorer, numbers))


def _choose_photos(tasks: Sequence[MomentsTask], side: Side) -> list[MomentsTask]:
    """Return tasks of a side with at most `MAX_MEASURED_PHOTOS` photos, spread evenly over its shards, none empty."""
    tasks = [task for task in tasks if task.side is side]
    step = -(-sum(len(task.shard.entries) for task in tasks) // MAX_MEASURED_PHOTOS)
    chosen, first = [], 0
    for task in tasks:
        entries = task.shard.entries[-first % step :: step]
        first += len(task.shard.entries)
        if entries:
            chosen.append(replace(task, shard=Shard(task.shard.number, tuple(entries))))
    return chosen
