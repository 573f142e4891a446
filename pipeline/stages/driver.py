"""The order of the stages; each of them resumes where an earlier call stopped."""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from deepot.transport import Moments, TransportMap
from pipeline import cluster
from pipeline.calibration import (
    Drift,
    MomentsTask,
    Side,
    append_photos,
    compute_moments,
    find_map_uri,
    list_run_maps,
    load_map,
    make_crash_result,
    make_moments_tasks,
    update_map,
)
from pipeline.config import Job, OutputLayout, RefitPolicy
from pipeline.errors import NothingFoundError, RunError, StorageError
from pipeline.reporting import write_report
from pipeline.runs import (
    PlanSummary,
    RunPaths,
    RunSummary,
    check_case_collisions,
    claim_output,
    clear_success_marker,
    count_planned_images,
    extend_plan,
    finalize_run,
    find_retriable_failures,
    find_shards_of_map,
    hold_lease,
    iter_shards_by_descending_cost,
    list_committed_shards,
    requeue_shards,
)
from pipeline.sources import HashSampler, find_images
from pipeline.stages.job_context import JobContext, RunOptions, open_run, prepare_run
from pipeline.stages.shard_scheduler import ShardScheduler
from pipeline.storage import Entry, exists
from pipeline.telemetry import RemainingGauge
from pipeline.workers import WorkerConfig, load_models, set_torch_threads

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitResult:
    """The map of a run, and how far its calibration has moved; no drift where the job names the map."""

    transport: TransportMap
    drift: Drift | None = None


def plan_job(context: JobContext) -> PlanSummary:
    """List the input, and freeze what is new of it as one more file of the run's plan.

    Where the job is calibrated from its input, the same listing gives the photos of the calibration.

    Raises:
        DeepotError: the job is refused (see `prepare_run`); nothing is written then.
    """
    prepare_run(context)
    job, run = context.job, context.run
    sampler = HashSampler(job.calibration_limit) if context.calibrates_from_input else None
    entries = _list_input(context)
    with hold_lease(run):
        summary = extend_plan(run, sampler.tee(entries) if sampler else entries, job.compute.images_per_shard)
    if sampler:
        with hold_lease(context.calibration):
            append_photos(context.calibration, Side.BOTH, sampler.selection())
    return summary


def _list_input(context: JobContext) -> Iterator[Entry]:
    photos = context.job.input
    return find_images(photos.images, "input", context.excluded_folders, photos.exclude)


def plan_reapply(context: JobContext) -> PlanSummary:
    """Plan once more, for the latest map, what earlier ones have done and is still there."""
    latest = load_or_fit_map(context).sha256
    uptodate_shards = find_shards_of_map(context.run, latest) | (
        set(count_planned_images(context.run)) - list_committed_shards(context.run)
    )
    entries = _list_input(context)
    with hold_lease(context.run):
        return extend_plan(context.run, entries, context.job.compute.images_per_shard, uptodate_shards)


def requeue_failed(context: JobContext) -> int:
    """Take back the commits of shards with failures that may pass, so that `apply_job` does them; how many failures."""
    run = context.run
    with hold_lease(run):
        found = find_retriable_failures(run)
        requeued = requeue_shards(run, found)
    log.info("%d failures that may pass: %d shards of %d images again", len(found), requeued.shards, requeued.images)
    return len(found)


def fit_job(context: JobContext, *, relist: bool = True) -> FitResult:
    """The map of the run, fitted where there is none, and again where new calibration photos and the job want it.

    Args:
        context: the job.
        relist: list the photos of the calibration; not needed right after `plan_job` where they are the input's.

    Raises:
        NothingFoundError: there are no photos to calibrate from.
        StorageError: they cannot be listed.
    """
    job, options = context.job, context.options
    if job.map is not None:
        return FitResult(load_or_fit_map(context))
    prepare_run(context)
    set_torch_threads(job)  # whoever has loaded the models: the last bits of a map depend on it

    def compute_blocks() -> tuple[list[Moments], list[Moments]]:
        with (
            cluster.ray_session(options.address, options.metrics_port) as session,
            session.worker_pool(job, options.allow_code) as pool,
        ):
            return compute_moments(
                pending, partial(pool.map_unordered, on_worker_death=make_crash_result), options.progress
            )

    with hold_lease(context.calibration):
        pending = list_calibration_tasks(context, relist=relist)
        drift = update_map(job, context.calibration, context.models.autoencoder, pending, compute_blocks)
    return FitResult(load_or_fit_map(context), drift)


def load_or_fit_map(context: JobContext) -> TransportMap:
    """The map that the job names, or the latest of the run; fitted if there is none."""
    return load_map(context.job, context.calibration) or fit_job(context).transport


def list_calibration_tasks(context: JobContext, *, relist: bool = True) -> list[MomentsTask]:
    """The tasks of the statistics, with the photos that are new; without these, where nothing hangs on them."""
    job, paths = context.job, context.calibration
    try:
        return make_moments_tasks(job, paths, context.options.allow_code, context.excluded_folders, relist=relist)
    except (NothingFoundError, StorageError) as error:
        if job.transport.refit is not RefitPolicy.NEVER or not list_run_maps(paths):
            raise
        log.warning("no drift can be told, and the map stays as it is: %s", error)
        return make_moments_tasks(job, paths, context.options.allow_code, context.excluded_folders, relist=False)


def apply_job(context: JobContext) -> RunSummary:
    """Transport every planned image that is not committed, and sum up.

    Raises:
        RunError: no map yet, or the output folder belongs to another run or holds other photos.
    """
    started = time.perf_counter()
    job, run, options = context.job, context.run, context.options
    transport = load_map(job, context.calibration)
    if transport is None:
        raise RunError(f"{run.uri} has no map yet: run 'deepot fit' or 'deepot run' first, or name a map in the job")
    transport.check_autoencoder(context.models.autoencoder)
    uncommitted = _uncommitted_shards(run)
    done_now = 0
    if uncommitted:
        clear_success_marker(run)  # another driver may have summed up before the rest was planned
        output = context.output_folder(transport.sha256)
        claim_output(output, run, context.fingerprint, job.output.layout, overwrite=options.overwrite)
        if job.output.layout is OutputLayout.FILES:
            check_case_collisions(run, output, job.output.format)
        options.progress.begin("apply", sum(uncommitted.values()))
        config = WorkerConfig(
            job,
            options.allow_code,
            run,
            output,
            context.fingerprint,
            find_map_uri(job, context.calibration),
            transport.sha256,
        )
        with (
            hold_lease(run, context.needs_exclusive_driver),
            cluster.ray_session(options.address, options.metrics_port) as session,
            session.worker_pool(job, options.allow_code) as pool,
        ):
            pool.configure(config, len(uncommitted))
            progress = RemainingGauge(options.progress, sum(uncommitted.values()))
            done_now = ShardScheduler(run, pool, progress)(iter_shards_by_descending_cost(run, uncommitted))
        options.progress.end()
    return finalize_run(run, done_now, time.perf_counter() - started)


def run_job(job: Job, options: RunOptions) -> RunSummary:
    """Plan, fit, apply, report: the whole job, or what is left of it."""
    started = time.perf_counter()
    with _ray_session_with_models(job, options):
        context = open_run(job, options)
        prepare_run(context)
        with hold_lease(context.run, context.needs_exclusive_driver):
            plan_summary = plan_job(context)
            drift = fit_job(context, relist=not context.calibrates_from_input).drift
            retried = requeue_failed(context) if options.retry_failed else 0
            if options.reapply_latest_map:
                plan_reapply(context)
            result = replace(apply_job(context), drift=drift.json_fields if drift else None, retried=retried)
    has_news = result.done_now or plan_summary.presence_changes or (drift and drift.new_images)
    if result.complete and (has_news or not exists(context.run.report)):
        write_report(context.run)
    return replace(result, seconds=time.perf_counter() - started)


def _uncommitted_shards(run: RunPaths) -> dict[int, int]:
    """Shards of the plan without a commit, and how many images each has."""
    done = list_committed_shards(run)
    return {number: images for number, images in count_planned_images(run).items() if number not in done}


@contextmanager
def _ray_session_with_models(job: Job, options: RunOptions) -> Iterator[None]:
    """A session, and the models in memory: Ray waits for processes while they load."""
    with ThreadPoolExecutor(1, "models") as executor:
        loading = executor.submit(load_models, job, options.allow_code)
        with cluster.ray_session(options.address, options.metrics_port):
            loading.result()
            yield
