"""The map of a run or of a calibration: fitted, updated, or the one that the job names."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from deepot.transport import TransportMap
from pipeline.calibration import (
    Drift,
    MomentsTask,
    MomentsTaskExecutor,
    list_run_maps,
    load_map,
    make_crash_result,
    make_moments_tasks,
    update_map,
)
from pipeline.config import RefitPolicy
from pipeline.errors import NothingFoundError, RunError, StorageError
from pipeline.runs import count_uncommitted_images, hold_lease
from pipeline.stages.job_context import JobContext
from pipeline.stages.preparation import prepare_calibration, prepare_run
from pipeline.stages.session import worker_session
from pipeline.stages.shared_storage import mark_calibration
from pipeline.telemetry import trace_command
from pipeline.workers import set_torch_threads

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitResult:
    """The map of a run.

    Attributes:
        transport: the map.
        drift: how far the calibration has moved since the map was fitted; None if the job names its map.
    """

    transport: TransportMap
    drift: Drift | None = None


def fit_job(context: JobContext, *, relist: bool = True) -> FitResult:
    """Fit the map of the run, if it has none yet, or if new calibration photos and `transport.refit` ask for another.

    Args:
        context: the job.
        relist: whether to list the calibration photos again; needless right after `plan_job` if they are the input's.

    Raises:
        DeepotError: the job is refused (see `prepare_run`); nothing is written then.
        NothingFoundError: not one photo can be used for calibration.
    """
    with trace_command("deepot fit", {"deepot.job": context.job.name}):
        if context.job.map is None:
            prepare_run(context)
        return fit_map(context, [context.run.uri], relist=relist)


def calibrate_job(context: JobContext) -> TransportMap:
    """Return the map of the job's calibration, which is fitted if there is none; no run is created.

    Raises:
        DeepotError: the calibration is refused (see `prepare_calibration`).
    """
    if (existing := load_map(context.job, context.calibration)) is not None:
        return existing
    prepare_calibration(context)
    return fit_map(context, [], relist=True).transport


def fit_map(context: JobContext, result_folders: Sequence[str], *, relist: bool) -> FitResult:
    """Fit or update the map of a calibration that has been prepared.

    Args:
        context: the job.
        result_folders: URIs of the folders that the command writes next, which all workers must be able to see.
        relist: whether to list the calibration photos again.

    Raises:
        NothingFoundError: not one photo can be used for calibration.
        RunError: the job names its map, and it is not there.
    """
    job, options = context.job, context.options
    if job.map is not None:
        return FitResult(load_fitted_map(context))
    set_torch_threads(job)  # not those of the thread that loaded the models: a map depends on them in the last bits

    with hold_lease(context.calibration), ExitStack() as workers:
        tasks = list_calibration_tasks(context, relist=relist)

        def start_workers() -> MomentsTaskExecutor:
            session = workers.enter_context(worker_session(job, options))
            n_calibration = sum(len(task.shard.entries) for task in tasks)
            n_photos = n_calibration + count_uncommitted_images(context.run).total
            pool = workers.enter_context(session.worker_pool(job, options.allow_code, n_photos))
            storage = workers.enter_context(mark_calibration(context, tasks, result_folders))
            return storage.check_first(partial(pool.map_unordered, on_worker_death=make_crash_result))

        autoencoder = context.models.autoencoder
        drift = update_map(job, context.calibration, autoencoder, tasks, start_workers, options.progress)
    return FitResult(load_fitted_map(context), drift)


def load_or_fit_map(context: JobContext) -> TransportMap:
    """Return the map that the job names, or the latest of its calibration, which is fitted if there is none."""
    return load_map(context.job, context.calibration) or fit_job(context).transport


def load_fitted_map(context: JobContext) -> TransportMap:
    """Return the map that the job names, or the latest of its calibration.

    Raises:
        RunError: there is none yet.
    """
    transport = load_map(context.job, context.calibration)
    if transport is None:
        raise RunError(
            f"{context.run.uri} has no map yet: run 'deepot fit' or 'deepot run' first, or name a map in the job"
        )
    return transport


def list_calibration_tasks(context: JobContext, *, relist: bool = True) -> list[MomentsTask]:
    """Return the tasks that compute the statistics of the calibration photos.

    Args:
        context: the job.
        relist: whether to list the photos again, to add new ones.

    Raises:
        NothingFoundError: there are no photos, and the map depends on them.
        StorageError: they cannot be listed, and the map depends on them.
    """
    job, paths = context.job, context.calibration
    try:
        return make_moments_tasks(job, paths, context.options.allow_code, context.excluded_folders, relist=relist)
    except (NothingFoundError, StorageError) as error:
        if job.transport.refit is not RefitPolicy.NEVER or not list_run_maps(paths):
            raise
        log.warning("the map stays as it is, and its drift cannot be measured: %s", error)
        return make_moments_tasks(job, paths, context.options.allow_code, context.excluded_folders, relist=False)
