"""Keeping the map of a calibration up to date: the first fit, and refits when the job asks for them."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from deepot.autoencoder import LoadedAutoencoder
from deepot.transport import CalibrationKind
from pipeline.calibration.change import measure_map
from pipeline.calibration.drift import Drift, measure_drift
from pipeline.calibration.maps import fit_and_store_map, load_map, read_fitted_shard_counts
from pipeline.calibration.moments import compute_moments
from pipeline.calibration.paths import CalibrationPaths
from pipeline.calibration.sides import Side
from pipeline.calibration.stored_moments import merge_drift_on_workers, read_map_statistics
from pipeline.calibration.tasks import MomentsTask, MomentsTaskExecutor, list_shard_numbers
from pipeline.config import Job, RefitPolicy
from pipeline.progress import Progress
from pipeline.storage import create_if_absent, write

log = logging.getLogger(__name__)


def update_map(
    job: Job,
    paths: CalibrationPaths,
    autoencoder: LoadedAutoencoder,
    tasks: Sequence[MomentsTask],
    start_workers: Callable[[], MomentsTaskExecutor],
    progress: Progress,
) -> Drift:
    """Fit the first map of a calibration, or measure its drift and fit a new map if the job asks for it.

    Args:
        job: the job.
        paths: the folder of the calibration.
        autoencoder: the autoencoder.
        tasks: all tasks of the statistics.
        start_workers: starts the workers and returns what runs a function on tasks; called only if there are photos
            that the map was not fitted from.
        progress: receives the number of processed photos.

    Returns:
        The drift of the calibration since the map that the job applied before.
    """
    _warn_if_input_unused(job)
    current_map = load_map(job, paths)
    sides = Side.SOURCE, Side.REFERENCE
    shard_counts: dict[str, int] = {side: len(list_shard_numbers(tasks, side)) for side in sides}
    fitted_shard_counts = read_fitted_shard_counts(paths, current_map) if current_map else {}
    if current_map and fitted_shard_counts == shard_counts:
        return Drift(current_map.sha256, current_map.info.source_images, map_distance=current_map.info.wasserstein2)
    execute = start_workers()
    moment_blocks = compute_moments(tasks, execute, progress)
    if current_map:
        source_shards = list_shard_numbers(tasks, Side.SOURCE)
        merge_drift_on_workers(paths, source_shards, fitted_shard_counts[Side.SOURCE], execute)
        drift = measure_drift(paths, current_map, source_shards, fitted_shard_counts[Side.SOURCE])
        record_uri = paths.drift(current_map.sha256, shard_counts[Side.SOURCE])
        create_if_absent(record_uri, drift.to_record())
        if not _should_refit(job, drift):
            return drift
    fitted = fit_and_store_map(
        job,
        paths,
        autoencoder,
        *moment_blocks,
        read_map_statistics(tasks),
        shard_counts,
        lambda fitted: measure_map(tasks, fitted, execute, progress),
    )
    if not current_map:
        return Drift(fitted.sha256, fitted.info.source_images, map_distance=fitted.info.wasserstein2)
    if fitted.sha256 != current_map.sha256:
        drift = replace(drift, refitted=True)
        write(record_uri, drift.to_record())
    return drift


def _warn_if_input_unused(job: Job) -> None:
    """Warn if `refit: drift` is likely a mistake because the calibration uses no photo of the input."""
    if job.transport.refit is RefitPolicy.DRIFT and job.calibration_kind is CalibrationKind.PAIRED:
        log.warning(
            "transport.refit is drift, but with calibration.reference and calibration.degradation only new reference "
            "photos can change the map, never new input: leave out calibration.reference to calibrate from the input"
        )


def _should_refit(job: Job, drift: Drift) -> bool:
    refit, limit = job.transport.refit, job.transport.drift_limit
    return refit is RefitPolicy.ALWAYS or (refit is RefitPolicy.DRIFT and drift.relative_drift > limit)
