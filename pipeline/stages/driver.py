"""The order of the stages; each of them resumes where an earlier call stopped."""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

from deepot.transport import TransportMap
from pipeline.calibration import Side, append_photos, find_map_uri
from pipeline.config import Job, OutputLayout
from pipeline.reporting import write_report
from pipeline.review import list_rejected_inputs, record_decisions
from pipeline.runs import (
    PlanSummary,
    RunSummary,
    ShardCounts,
    UnwritableNamesCounter,
    check_case_collisions,
    claim_output,
    clear_success_marker,
    count_uncommitted_images,
    extend_plan,
    finalize_run,
    find_retriable_failures,
    find_shards_of_map,
    hold_lease,
    iter_shards_by_descending_cost,
    requeue_shards,
)
from pipeline.sources import HashSampler, PassedOver, find_images
from pipeline.stages.decisions import check_decisions, requeue_overruled
from pipeline.stages.fitting import fit_map, load_fitted_map, load_or_fit_map
from pipeline.stages.job_context import JobContext, RunOptions, open_run
from pipeline.stages.map_check import check_map
from pipeline.stages.preparation import prepare_run
from pipeline.stages.session import worker_session
from pipeline.stages.shard_folding import compact_after_run, shard_folder
from pipeline.stages.shard_scheduler import ShardScheduler
from pipeline.stages.shared_storage import mark_run
from pipeline.storage import Entry, exists
from pipeline.telemetry import RemainingGauge, trace_command
from pipeline.workers import WorkerConfig, load_models

log = logging.getLogger(__name__)


def plan_job(context: JobContext) -> PlanSummary:
    """List the input and append what is new to the plan of the run.

    If the job is calibrated from its input, the same listing gives the calibration photos.

    Raises:
        DeepotError: the job is refused (see `prepare_run`); nothing is written then.
    """
    prepare_run(context)
    return _plan(context)


def _plan(context: JobContext) -> PlanSummary:
    with trace_command("plan", {"deepot.job": context.job.name}):
        return _list_and_plan(context)


def _list_and_plan(context: JobContext) -> PlanSummary:
    job, run = context.job, context.run
    sampler = HashSampler(job.calibration_limit) if context.calibrates_from_input else None
    passed_over = PassedOver(context.excluded_folders)
    unwritable = UnwritableNamesCounter(job.output.format)
    entries = unwritable.tee(_list_input(context, passed_over))
    with hold_lease(run):
        summary = extend_plan(run, sampler.tee(entries) if sampler else entries, job.compute.images_per_shard)
    if sampler:
        with hold_lease(context.calibration):
            append_photos(context.calibration, Side.BOTH, sampler.selection())
    return replace(summary, passed_over=passed_over.counts, unwritable=unwritable.found)


def _list_input(context: JobContext, passed_over: PassedOver | None = None) -> Iterator[Entry]:
    photos = context.job.input
    return find_images(
        photos.images,
        "input",
        context.excluded_folders,
        photos.exclude,
        photos.allow,
        passed_over,
        photos.list_streams,
        photos.inventory,
        context.job.limits,
    )


def plan_reapply(context: JobContext) -> PlanSummary:
    """Plan the photos that have results of an earlier map, and still exist, once more for the latest map."""
    latest = load_or_fit_map(context).sha256
    uptodate_shards = find_shards_of_map(context.run, latest) | count_uncommitted_images(context.run).shards
    entries = _list_input(context)
    with hold_lease(context.run):
        return extend_plan(context.run, entries, context.job.compute.images_per_shard, uptodate_shards)


def requeue_failed(context: JobContext) -> int:
    """Withdraw the commits of shards with retriable failures, so that `apply_job` processes these shards again.

    Returns:
        The number of retriable failures.
    """
    run = context.run
    with hold_lease(run):
        found = find_retriable_failures(run)
        requeued = requeue_shards(run, found)
    log.info(
        "%d retriable failures: %d shards with %d images are processed again",
        *(len(found), requeued.shards, requeued.images),
    )
    return len(found)


def apply_job(context: JobContext) -> RunSummary:
    """Process every planned image that is not committed, or not as a review has decided, and summarize the run.

    Raises:
        RunError: there is no map yet, or the output folder belongs to another run or holds other photos.
    """
    with trace_command("deepot apply", {"deepot.job": context.job.name}):
        return _apply(context)


def _apply(context: JobContext) -> RunSummary:
    started = time.perf_counter()
    transport = load_fitted_map(context)
    transport.check_autoencoder(context.models.autoencoder)
    check_map(context.job, transport)
    requeue_overruled(context.job, context.run)
    uncommitted = count_uncommitted_images(context.run)
    done_now = 0
    if uncommitted:
        clear_success_marker(context.run)  # another driver may have finished before the rest was planned
        config = _claim_output(context, transport)
        context.options.progress.begin("apply", uncommitted.total)
        done_now = _process_shards(context, config, uncommitted)
        context.options.progress.end()
        compact_after_run(context.run)
    return finalize_run(context.run, done_now, time.perf_counter() - started)


def _claim_output(context: JobContext, transport: TransportMap) -> WorkerConfig:
    """Claim the output folder of a map for the run; returns what workers need to write there."""
    job, run, options = context.job, context.run, context.options
    output = context.output_folder(transport.sha256)
    claim_output(output, run, context.fingerprint, job.output.layout, overwrite=options.overwrite)
    if job.output.layout is OutputLayout.FILES:
        check_case_collisions(run, output, job.output.format)
    map_uri = find_map_uri(job, context.calibration)
    return WorkerConfig(
        job=job,
        allow_code=options.allow_code,
        run=run,
        output=output,
        fingerprint=context.fingerprint,
        map_uri=map_uri,
        map_sha256=transport.sha256,
        rejected=list_rejected_inputs(run),
    )


def _process_shards(context: JobContext, config: WorkerConfig, uncommitted: ShardCounts) -> int:
    """Process shards on workers; returns the number of images that this call committed."""
    job, run, options = context.job, context.run, context.options
    with (
        hold_lease(run),
        worker_session(job, options) as session,
        session.worker_pool(job, options.allow_code, uncommitted.total) as pool,
        mark_run(context, config.output, config.map_uri) as storage,
        shard_folder(run) as folder,
    ):
        pool.configure(replace(config, storage=storage), len(uncommitted))
        progress = RemainingGauge(options.progress, uncommitted.total)
        scheduler = ShardScheduler(run, pool, progress, folder.add)
        return scheduler.run_shards(iter_shards_by_descending_cost(run, uncommitted.shards))


def run_job(job: Job, options: RunOptions | None = None) -> RunSummary:
    """Run all stages of a job, or what is left of them: plan, fit, apply, report.

    Failed photos raise nothing: `RunSummary.failed` counts them. Nothing is printed, and no notification is sent.

    Args:
        job: the job.
        options: how it is executed; by default on this machine.

    Raises:
        DeepotError: the job cannot run; nothing is written if it is refused (see `prepare_run`).
    """
    options = options or RunOptions()
    started = time.perf_counter()
    with trace_command("deepot run", {"deepot.job": job.name}), _session_with_models(job, options):
        context = open_run(job, options)
        decisions = check_decisions(options.decisions, job, context.run)
        prepare_run(context)
        with hold_lease(context.run):
            plan_summary = _plan(context)
            folders = [context.run.uri, job.output_root]
            drift = fit_map(context, folders, relist=not context.calibrates_from_input).drift
            retried = requeue_failed(context) if options.retry_failed else 0
            record_decisions(context.run, decisions)
            if options.reapply_latest_map:
                plan_reapply(context)
            result = replace(apply_job(context), drift=drift.json_fields if drift else None, retried=retried)
            result = replace(result, passed_over=plan_summary.passed_over)
    has_news = result.done_now or plan_summary.presence_changes or (drift and drift.new_images)
    if result.complete and (has_news or not exists(context.run.report)):
        write_report(context.run)
    return replace(result, seconds=time.perf_counter() - started)


@contextmanager
def _session_with_models(job: Job, options: RunOptions) -> Iterator[None]:
    """Open the workers' session, and load the models into this process while Ray starts, if it is used."""
    with worker_session(job, options) as session, ThreadPoolExecutor(1, "models") as executor:
        loading = executor.submit(load_models, job, options.allow_code)
        session.start_ray_if_needed()
        loading.result()
        yield
