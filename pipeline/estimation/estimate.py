"""Estimating what is left of a job in hours, bytes and requests, from a pilot run on the workers of the job."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.calibration import MAX_MEASURED_PHOTOS, MomentsTask, list_pending_tasks, list_sides, load_map
from pipeline.config import Job, OutputLayout
from pipeline.estimation.pilot import PhotoTiming, PilotResult, PilotTask, run_pilot
from pipeline.estimation.plan_sample import PlanSample, sample_remaining
from pipeline.estimation.stratified_sampling import TotalEstimate, estimate_total
from pipeline.runs import Shard
from pipeline.sources import sample_by_hash
from pipeline.stages import JobContext, list_calibration_tasks, sample_local_files, worker_session
from pipeline.workers import mark_storage

_CALIBRATION_PHOTOS_PER_SIDE = 4  # few, as a calibration has thousands of photos at most and an archive far more
_MIN_PHOTOS_PER_WORKER = 4  # with fewer, reading the first and writing the last photo would dominate
_HOUR_S = 3600


@dataclass(frozen=True)
class JobEstimate:
    """What is left of a job.

    Attributes:
        images: images to process.
        calibration_images: calibration photos whose statistics are missing.
        pilot_photos: photos in the pilot run.
        strata: number of size groups that the pilot photos were sampled from.
        pilot_s: seconds that the pilot run took.
        workers: workers that the estimate is for.
        pilot_workers: workers that took part in the pilot run.
        cpus: CPUs per worker.
        gpus: GPUs per worker.
        apply_s: worker seconds for processing the images.
        calibration_s: worker seconds for the calibration statistics.
        fit_s: seconds for fitting the map, in the driver.
        result_bytes: bytes of all results.
        run_folder_bytes: bytes of manifest rows and moments.
        reads: requests that read photos.
        writes: requests that write results and the run's own files.
        error_counts: number of pilot photos that failed or were skipped, by error code.
    """

    images: int
    calibration_images: int
    pilot_photos: int
    strata: int
    pilot_s: float
    workers: int
    pilot_workers: int
    cpus: float
    gpus: float
    apply_s: TotalEstimate
    calibration_s: TotalEstimate
    fit_s: float
    result_bytes: TotalEstimate
    run_folder_bytes: float
    reads: int
    writes: int
    error_counts: dict[str, int]

    @property
    def worker_hours(self) -> TotalEstimate:
        """Hours of all workers together."""
        return (self.apply_s + self.calibration_s) * (1 / _HOUR_S)

    @property
    def hours(self) -> TotalEstimate:
        """Hours from start to end, with all workers busy except while the map is fitted."""
        return self.worker_hours * (1 / self.workers) + TotalEstimate(self.fit_s / _HOUR_S, 0)


@dataclass(frozen=True)
class _RemainingWork:
    """What is left of a job: images to process, and all and pending tasks of its calibration."""

    images: PlanSample
    tasks: Sequence[MomentsTask]
    pending: Sequence[MomentsTask]

    @property
    def calibration_images(self) -> int:
        return sum(len(task.shard.entries) for task in self.pending)

    def fits_tone(self, job: Job) -> bool:
        """Whether the photos are read for a tone curve first; not if some moments, which depend on it, are stored."""
        return job.fits_tone and len(self.tasks) == len(self.pending) > 0


def estimate_job(context: JobContext, pilot_photos: int, workers: int | None = None) -> JobEstimate:
    """Run a pilot on some photos of a planned job and estimate what is left of it.

    Args:
        context: a job whose plan is written.
        pilot_photos: about how many photos to process in the pilot run; at least two per size group.
        workers: number of workers to estimate for; None for as many as fit now.

    Raises:
        NothingFoundError: all planned images are committed.
    """
    job, options = context.job, context.options
    work = _RemainingWork(sample_remaining(context.run, pilot_photos), *_list_calibration_tasks(context))
    started = time.perf_counter()
    with (
        worker_session(job, options) as session,
        session.worker_pool(job, options.allow_code, work.images.images + work.calibration_images) as pool,
        mark_storage([], [sample_local_files(work.images.entries.values())]) as storage,
    ):
        resources = pool.resources
        tasks = _make_pilot_tasks(context, work, resources.count)
        results = list(storage.check_first(pool.map_unordered)(run_pilot, tasks))
    return JobEstimate(
        images=work.images.images,
        calibration_images=work.calibration_images,
        pilot_photos=len(work.images.entries),
        strata=len(work.images.strata),
        pilot_s=time.perf_counter() - started,
        workers=workers or resources.count,
        pilot_workers=len(results),
        cpus=resources.cpus,
        gpus=resources.gpus,
        apply_s=_estimate_over_remaining(work.images, results, lambda photo: photo.seconds),
        calibration_s=_estimate_calibration_s(work, results),
        fit_s=max(result.fit_s for result in results),
        result_bytes=_estimate_over_remaining(work.images, results, lambda photo: photo.result_bytes),
        run_folder_bytes=_estimate_run_folder_bytes(work, results),
        reads=work.images.images + work.calibration_images * (2 if work.fits_tone(job) else 1),
        writes=_count_writes(job, work),
        error_counts=dict(Counter(photo.error for result in results for photo in result.photos if photo.error)),
    )


def _list_calibration_tasks(context: JobContext) -> tuple[list[MomentsTask], list[MomentsTask]]:
    """Return all calibration tasks of a job and the pending ones; none if the map is given or up to date."""
    if context.job.map is not None:
        return [], []
    tasks = list_calibration_tasks(context)
    pending = list_pending_tasks(tasks)
    return (tasks, pending) if pending or load_map(context.job, context.calibration) is None else ([], [])


def _make_pilot_tasks(context: JobContext, work: _RemainingWork, workers: int) -> list[PilotTask]:
    """Distribute the sampled images over the workers, small and large ones to each."""
    side_samples = []
    for side in sorted({task.side for task in work.tasks}):
        side_tasks = [task for task in work.tasks if task.side == side]
        entries = sample_by_hash(
            (entry for task in side_tasks for entry in task.shard.entries), _CALIBRATION_PHOTOS_PER_SIDE
        )
        side_samples.append(replace(side_tasks[0], shard=Shard(0, tuple(entries))))
    by_size = sorted(work.images.entries.values(), key=lambda entry: (entry.size, entry.key))
    n_tasks = max(1, min(workers, len(by_size) // _MIN_PHOTOS_PER_WORKER))
    return [
        PilotTask(
            context.job,
            context.options.allow_code,
            context.run,
            context.calibration,
            context.fingerprint,
            tuple(by_size[offset::n_tasks]),
            tuple(side_samples),
        )
        for offset in range(n_tasks)
    ]


def _estimate_calibration_s(work: _RemainingWork, results: Sequence[PilotResult]) -> TotalEstimate:
    """Estimate the worker seconds for the pending statistics; every pilot task had the same photos of each side."""
    sides = sorted({task.side for task in work.tasks})
    counts = [sum(len(task.shard.entries) for task in work.pending if task.side == side) for side in sides]
    seconds = [np.mean([result.calibration_s[side] for result in results], axis=0).tolist() for side in sides]
    totals = (sum(len(task.shard.entries) for task in work.tasks if task.side == side) for side in sides)
    measured = sum(min(MAX_MEASURED_PHOTOS, total) for total in totals)
    change_s = float(np.mean([result.change_s for result in results]))
    return estimate_total(counts, seconds) + TotalEstimate(measured * change_s, 0)


def _estimate_over_remaining(
    remaining: PlanSample, results: Sequence[PilotResult], value: Callable[[PhotoTiming], float]
) -> TotalEstimate:
    """Estimate the total of a value over the remaining images from the pilot photos."""
    timings = {photo.uri: photo for result in results for photo in result.photos}
    values = [
        [value(timings[remaining.entries[int(position)].uri]) for position in stratum] for stratum in remaining.sampled
    ]
    return estimate_total([len(stratum) for stratum in remaining.strata], values)


def _estimate_run_folder_bytes(work: _RemainingWork, results: Sequence[PilotResult]) -> float:
    """Estimate the bytes of the remaining manifest rows and pending moments."""
    row_bytes = float(np.mean([result.row_bytes for result in results]))
    return work.images.images * row_bytes + len(work.pending) * max(result.moments_bytes for result in results)


def _count_writes(job: Job, work: _RemainingWork) -> int:
    """Count the requests that write results, the manifest file and commit of each shard, and moments."""
    shards = work.images.shards
    results = work.images.images if job.output.layout is OutputLayout.FILES else shards
    tone = len(work.pending) + 1 if work.fits_tone(job) else 0  # sums of each shard, and the curve
    return results + 2 * shards + sum(len(list_sides(task)) for task in work.pending) + tone
