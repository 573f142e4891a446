"""Measuring a map on calibration photos: gains, error curves of pairs, and tests of photos that look natural."""

from collections.abc import Sequence
from dataclasses import replace

from deepot.autoencoder import LoadedAutoencoder
from deepot.transport import (
    MIN_TEST_PHOTOS,
    ChangeByPhoto,
    TransportMap,
    fit_change,
    fit_energy_gains,
    fit_photo_curves,
)
from pipeline.calibration.maps import fit_map_to_tasks
from pipeline.calibration.moments import run_with_refusals
from pipeline.calibration.natural_tests import fit_natural_tests
from pipeline.calibration.shard_change import compute_shard_change, compute_shard_energies
from pipeline.calibration.sides import Side
from pipeline.calibration.stored_moments import merge_blocks_on_workers, read_change_blocks, read_energies
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
    """Measure a map on calibration photos; returns it with what was found.

    Args:
        tasks: all tasks of the calibration.
        fitted: the map, which is not stored yet.
        execute: runs a function on tasks.
        progress: receives the number of processed photos.

    Raises:
        RunError: workers die whatever they process.
        AccessDeniedError: storage refuses the photos, not only some of them.
    """
    job, paths, map_sha256 = tasks[0].job, tasks[0].paths, fitted.sha256
    kind = job.calibration_kind
    models = load_models(job, tasks[0].allow_code)
    sides = dict.fromkeys(task.side for task in tasks)
    photos = {side: _choose_photos(tasks, side) for side in sides}
    n_least = min(sum(len(task.shard.entries) for task in of_side) for of_side in photos.values())
    has_tests = kind.has_natural_photos and n_least >= MIN_TEST_PHOTOS
    chosen = {side: _prepare(fitted, of_side, measures_states=has_tests) for side, of_side in photos.items()}
    _measure(tasks, [task for of_side in chosen.values() for task in of_side], execute, progress)
    numbers = {side: [task.shard.number for task in of_side] for side, of_side in chosen.items()}
    if Side.BOTH in chosen:
        blocks = read_change_blocks(paths, map_sha256, numbers[Side.BOTH])
        change = fit_change([block.total for block in blocks], has_clean_originals=kind.has_clean_originals)
        if job.limits_photos:
            halves = _measure_held_out(tasks, photos[Side.BOTH], models.autoencoder, execute, progress)
            fitted = replace(fitted, photo_curves=fit_photo_curves(halves))
    else:
        energies = (read_energies(paths, map_sha256, side, numbers[side]) for side in (Side.SOURCE, Side.REFERENCE))
        change = fit_energy_gains(*energies)
    fitted = replace(fitted, change=change)
    if not has_tests:
        return fitted
    restorer = models.calibration_restorer
    return replace(fitted, natural_tests=fit_natural_tests(paths, map_sha256, restorer, numbers))


def _prepare(fitted: TransportMap, tasks: Sequence[MomentsTask], *, measures_states: bool = False) -> list[MomentsTask]:
    """Store a map for the workers, and return tasks that measure it."""
    if tasks:
        check_lease(tasks[0].paths)
        write(tasks[0].paths.unmeasured_map(fitted.sha256), fitted.to_bytes())
    map_sha256 = fitted.sha256
    return [replace(task, map_sha256=map_sha256, measures_states=measures_states) for task in tasks]


def _measure(
    tasks: Sequence[MomentsTask], chosen: Sequence[MomentsTask], execute: MomentsTaskExecutor, progress: Progress
) -> None:
    """Run those of the chosen tasks whose results are not stored yet; their photos are some of those of all tasks."""
    pending = list_pending_change_tasks(chosen)
    compute = compute_shard_energies if any(task.side is not Side.BOTH for task in chosen) else compute_shard_change
    progress.begin("change", sum(len(task.shard.entries) for task in pending))
    for result in run_with_refusals(compute, tasks, pending, execute):
        progress.advance(result.images + len(result.unusable), len(result.unusable))
    progress.end()


def _measure_held_out(
    tasks: Sequence[MomentsTask],
    photos: Sequence[MomentsTask],
    autoencoder: LoadedAutoencoder,
    execute: MomentsTaskExecutor,
    progress: Progress,
) -> list[list[ChangeByPhoto]]:
    """Measure each half of the pairs with a map that is fitted to the other half.

    A map suits the pairs that it was fitted to better than other photos, which would make limits for single photos too
    lax. The maps of halves are fitted to fewer pairs than the one that is applied, which makes them a little strict.
    """
    if len(tasks) < 2:
        return [[], []]
    halves = []
    for half, other in ((tasks[::2], tasks[1::2]), (tasks[1::2], tasks[::2])):
        merge_blocks_on_workers(other, execute)
        fitted = fit_map_to_tasks(other, autoencoder)
        numbers = {task.shard.number for task in half}
        held_out = _prepare(fitted, [task for task in photos if task.shard.number in numbers])
        _measure(tasks, held_out, execute, progress)
        shards = [task.shard.number for task in held_out]
        halves.append(read_change_blocks(tasks[0].paths, fitted.sha256, shards) if shards else [])
    return halves


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
