"""Estimate: what is left of a job in hours and bytes, from a few of its photos tried out on its workers."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from pipeline.calibration import MomentsTask, list_pending_tasks, list_sides, load_map
from pipeline.cluster import plan_cluster_workers
from pipeline.config import Job, OutputLayout
from pipeline.errors import NothingFoundError
from pipeline.estimation.forecast import JobEstimate
from pipeline.estimation.pilot import PhotoTiming, PilotResult, PilotTask, run_pilot
from pipeline.estimation.stratified_sampling import TotalEstimate, estimate_total, sample_strata, stratify_by_size
from pipeline.runs import RunPaths, Shard, list_committed_shards, read_plan
from pipeline.sources import sample_by_hash
from pipeline.stages import JobContext, list_calibration_tasks, worker_session
from pipeline.storage import Entry

_CALIBRATION_PHOTOS_PER_SIDE = (
    4  # of each side: they are at most some thousands, and photos of an archive are most of the work
)
_MIN_PHOTOS_PER_WORKER = 4  # at the least: with fewer a worker waits for the first and the last
_SEED = 0


@dataclass(frozen=True)
class EstimateSample:
    """What is left of a job, and a draw of it.

    Attributes:
        shards: that are not committed.
        images: in them.
        strata: places of the images, by size.
        sampled: of each group, the places of those to try out.
        entries: those to try out, by their places.
    """

    shards: int
    images: int
    strata: list[NDArray[np.int64]]
    sampled: list[NDArray[np.int64]]
    entries: dict[int, Entry]


def estimate_job(context: JobContext, pilot_photos: int, workers: int | None = None) -> JobEstimate:
    """Try out photos of a job whose plan is written, and tell what is left of it.

    Args:
        context: the job.
        pilot_photos: about so many are tried out, twice as many as there are groups at the least.
        workers: that will share the work; None for as many as there is room for now.

    Raises:
        NothingFoundError: nothing is left to do.
    """
    job, options = context.job, context.options
    remaining = _sample_remaining(context.run, pilot_photos)
    tasks, pending = _list_calibration_tasks(context)
    started = time.perf_counter()
    with (
        worker_session(options) as session,
        session.worker_pool(job, options.allow_code) as pool,
    ):
        resources = plan_cluster_workers(job.compute)
        pilot_tasks = _make_pilot_tasks(context, remaining, tasks, resources.count)
        results = list(pool.map_unordered(run_pilot, pilot_tasks))
    return JobEstimate(
        images=remaining.images,
        calibration_images=sum(len(task.shard.entries) for task in pending),
        pilot_photos=len(remaining.entries),
        strata=len(remaining.strata),
        pilot_s=time.perf_counter() - started,
        workers=workers or resources.count,
        pilot_workers=len(pilot_tasks),
        cpus=resources.cpus,
        gpus=resources.gpus,
        apply_s=_estimate_over_remaining(remaining, results, lambda photo: photo.seconds),
        calibration_s=_estimate_calibration_s(tasks, pending, results),
        fit_s=max(each.fit_s for each in results),
        result_bytes=_estimate_over_remaining(remaining, results, lambda photo: photo.result_bytes),
        run_folder_bytes=remaining.images * float(np.mean([each.row_bytes for each in results]))
        + len(pending) * max(each.moments_bytes for each in results),
        reads=remaining.images + sum(len(task.shard.entries) for task in pending),
        writes=_count_writes(job, remaining, pending),
        error_counts=dict(Counter(photo.error for each in results for photo in each.photos if photo.error)),
    )


def _sample_remaining(run: RunPaths, pilot_photos: int) -> EstimateSample:
    """The images without a commit, and a draw of them; the plan is read twice and never held."""
    done = list_committed_shards(run)

    def shards() -> Iterator[Shard]:
        return (shard for shard in read_plan(run) if shard.number not in done)

    def entries() -> Iterator[Entry]:
        return chain.from_iterable(shard.entries for shard in shards())

    counts = Counter[str]()
    sizes = np.fromiter((entry.size for shard in _count_shards(shards(), counts) for entry in shard.entries), np.int64)
    if not len(sizes):
        raise NothingFoundError(f"{run.uri}: nothing is left to do, so there is nothing to estimate")
    strata = stratify_by_size(sizes)
    sampled = sample_strata(strata, pilot_photos, np.random.default_rng(_SEED))
    sampled_positions = {int(place) for places in sampled for place in places}
    sampled_entries = {place: entry for place, entry in enumerate(entries()) if place in sampled_positions}
    return EstimateSample(counts["shards"], len(sizes), strata, sampled, sampled_entries)


def _count_shards(shards: Iterator[Shard], counts: Counter[str]) -> Iterator[Shard]:
    for shard in shards:
        counts["shards"] += 1
        yield shard


def _list_calibration_tasks(context: JobContext) -> tuple[list[MomentsTask], list[MomentsTask]]:
    """The statistics of the job, none where nothing is to be gathered or fitted; and those that are pending."""
    if context.job.map is not None:
        return [], []
    tasks = list_calibration_tasks(context)
    pending = list_pending_tasks(tasks)
    return (tasks, pending) if pending or load_map(context.job, context.calibration) is None else ([], [])


def _make_pilot_tasks(
    context: JobContext, remaining: EstimateSample, tasks: Sequence[MomentsTask], workers: int
) -> list[PilotTask]:
    """The draw shared out to as many workers as there are, large photos and small ones to each."""
    side_samples = []
    for side in sorted({task.side for task in tasks}):
        side_tasks = [task for task in tasks if task.side == side]
        entries = sample_by_hash(
            (entry for task in side_tasks for entry in task.shard.entries), _CALIBRATION_PHOTOS_PER_SIDE
        )
        side_samples.append(replace(side_tasks[0], shard=Shard(0, tuple(entries))))
    by_size = sorted(remaining.entries.values(), key=lambda entry: (entry.size, entry.key))
    n_tasks = max(1, min(workers, len(by_size) // _MIN_PHOTOS_PER_WORKER))
    return [
        PilotTask(
            context.job,
            context.options.allow_code,
            context.run,
            context.calibration,
            context.fingerprint,
            tuple(by_size[part::n_tasks]),
            tuple(side_samples),
        )
        for part in range(n_tasks)
    ]


def _estimate_calibration_s(
    tasks: Sequence[MomentsTask], pending: Sequence[MomentsTask], results: Sequence[PilotResult]
) -> TotalEstimate:
    """Seconds of workers for the statistics that are pending; all trials had the same photos of each side."""
    sides = sorted({task.side for task in tasks})
    counts = [sum(len(task.shard.entries) for task in pending if task.side == side) for side in sides]
    return estimate_total(
        counts, [np.mean([each.calibration_s[side] for each in results], axis=0).tolist() for side in sides]
    )


def _estimate_over_remaining(
    remaining: EstimateSample, results: Sequence[PilotResult], value: Callable[[PhotoTiming], float]
) -> TotalEstimate:
    """A total over the images that are left, from those that were tried."""
    timings = {photo.uri: photo for each in results for photo in each.photos}
    values = [[value(timings[remaining.entries[int(place)].uri]) for place in places] for places in remaining.sampled]
    return estimate_total([len(group) for group in remaining.strata], values)


def _count_writes(job: Job, remaining: EstimateSample, pending: Sequence[MomentsTask]) -> int:
    """Requests that write: results, a part and a commit of each shard, moments."""
    results = remaining.images if job.output.layout is OutputLayout.FILES else remaining.shards
    return results + 2 * remaining.shards + sum(len(list_sides(task)) for task in pending)
