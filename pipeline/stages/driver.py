"""Run: the order of the stages, and what makes them go on where they stopped."""

import importlib.metadata
import json
import logging
import platform
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from deepot.transport.moments import Moments
from deepot.transport.transport_map import CalibrationKind, TransportMap
from pipeline.calibration import moments as statistics
from pipeline.calibration.drift import Drift, update_map
from pipeline.calibration.maps import find_latest_map_uri, list_run_maps, load_map
from pipeline.calibration.photo_lists import append_photos
from pipeline.cluster import session as cluster
from pipeline.config.job import Job, RefitPolicy, fixed_folder, output_folder
from pipeline.config.output_layout import OutputLayout
from pipeline.errors import NothingFoundError, RunError, StorageError
from pipeline.progress import NullProgress, Progress
from pipeline.reporting.report import write_report
from pipeline.runs.case_collisions import check_case_collisions
from pipeline.runs.commits import list_committed_shards
from pipeline.runs.lease import hold_lease
from pipeline.runs.manifest import find_shards_of_map
from pipeline.runs.output_ownership import check_output_claim, claim_output
from pipeline.runs.paths import RUNS_FOLDER, RunPaths
from pipeline.runs.plan import (
    PlanSummary,
    clear_success_marker,
    count_planned_images,
    extend_plan,
    find_images,
    iter_shards_by_descending_cost,
)
from pipeline.runs.requeue import find_retriable_failures, requeue_shards
from pipeline.runs.summary import RunSummary, finalize_run
from pipeline.sources.sampling import HashSampler
from pipeline.stages.shard_scheduler import ShardScheduler
from pipeline.storage.folders import exists
from pipeline.storage.objects import absolute_uri, create_if_absent, join_uri, utc_timestamp
from pipeline.telemetry import logs
from pipeline.telemetry import prometheus_metrics as metrics
from pipeline.workers.models import Models, load_models, set_torch_threads
from pipeline.workers.shard_worker import WorkerConfig

log = logging.getLogger(__name__)

_PACKAGES = ("deepot", "torch", "diffusers", "ray", "pyarrow", "numpy", "pillow")


@dataclass(frozen=True)
class RunOptions:
    """How a command is carried out; none of it changes results.

    Attributes:
        address: of a Ray cluster; None starts Ray on this machine.
        allow_code: whether the job may name `module:factory`.
        overwrite: whether photos in the output folder that are not of this run may be written over.
        reapply_latest_map: whether what an earlier map of the run has done is done again by the latest.
        retry_failed: whether shards with failures that may pass are done again.
        progress: told of finished images.
        metrics_port: of 127.0.0.1, where Ray on this machine exports metrics; None leaves it to Ray.
    """

    address: str | None = None
    allow_code: bool = False
    overwrite: bool = False
    reapply_latest_map: bool = False
    retry_failed: bool = False
    progress: Progress = field(default_factory=NullProgress)
    metrics_port: int | None = None


@dataclass(frozen=True)
class FitResult:
    """The map of a run, and how far its calibration has moved; no drift where the job names the map."""

    transport: TransportMap
    drift: Drift | None = None


@dataclass(frozen=True)
class JobContext:
    """A job with its models and the folder of its run."""

    job: Job
    options: RunOptions
    models: Models
    fingerprint: str
    run: RunPaths

    @property
    def excluded_folders(self) -> tuple[str, str]:
        """Folders whose files are never input: the results and the run's own."""
        return fixed_folder(self.job.output.uri), self.run.uri.rpartition("/")[0]

    @property
    def needs_exclusive_driver(self) -> bool:
        """Whether a second driver would write over files that rows of the first one name."""
        return self.job.output.layout is not OutputLayout.FILES

    @property
    def calibrates_from_input(self) -> bool:
        """Whether the job is calibrated from its input."""
        return self.job.map is None and self.job.calibration_kind is CalibrationKind.SELF


def open_run(job: Job, options: RunOptions) -> JobContext:
    """Load a job's models and find the folder of its run; writes run.json there the first time.

    Raises:
        DeepotError: a model cannot be loaded.
        StorageError: the run's folder cannot be written.
    """
    models = load_models(job, options.allow_code)
    identities = models.fingerprints()
    if job.map is not None:
        named_map = load_map(job, RunPaths(""))
        identities["map"] = named_map.sha256 if named_map else ""
    fingerprint = job.fingerprint(identities)
    root = absolute_uri(job.run) if job.run else join_uri(fixed_folder(job.output.uri), RUNS_FOLDER)
    run = RunPaths(join_uri(root, fingerprint[:16]))
    run_json = {
        "name": job.name,
        "fingerprint": fingerprint,
        "models": identities,
        "job": job.model_dump(mode="json"),
        "versions": {name: _package_version(name) for name in _PACKAGES} | {"python": platform.python_version()},
        "started": utc_timestamp(),
    }
    logs.set_log_context(run=run.uri)
    create_if_absent(run.run_json, json.dumps(run_json, indent=2, sort_keys=True).encode())
    return JobContext(job, options, models, fingerprint, run)


def plan_job(context: JobContext) -> PlanSummary:
    """List the input and freeze what is new of it as a part of the run's plan, and of what it is calibrated from."""
    job, run = context.job, context.run
    sampler = HashSampler(job.source.limit) if context.calibrates_from_input and job.source else None
    entries = find_images(job.input.images, "input", context.excluded_folders)
    with hold_lease(run):
        summary = extend_plan(run, sampler.tee(entries) if sampler else entries, job.compute.shard_images)
        if sampler:
            append_photos(run, statistics.BOTH_SIDES, sampler.selection())
    return summary


def plan_reapply(context: JobContext) -> PlanSummary:
    """Plan once more, for the latest map, what earlier ones have done and is still there."""
    latest = load_or_fit_map(context).sha256
    uptodate_shards = find_shards_of_map(context.run, latest) | (
        set(count_planned_images(context.run)) - list_committed_shards(context.run)
    )
    entries = find_images(context.job.input.images, "input", context.excluded_folders)
    with hold_lease(context.run):
        return extend_plan(context.run, entries, context.job.compute.shard_images, uptodate_shards)


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
    job, run, options = context.job, context.run, context.options
    if job.map is not None:
        return FitResult(load_or_fit_map(context))
    set_torch_threads(job)  # whoever has loaded the models: the last bits of a map depend on it

    def compute_blocks() -> tuple[list[Moments], list[Moments]]:
        with (
            cluster.ray_session(options.address, options.metrics_port) as session,
            session.worker_pool(job, options.allow_code) as pool,
        ):
            return statistics.compute_moments(
                pending, partial(pool.map_unordered, on_worker_death=statistics.make_crash_result), options.progress
            )

    with hold_lease(run):
        pending = list_calibration_tasks(context, relist=relist)
        drift = update_map(job, run, context.models.autoencoder, pending, compute_blocks)
    return FitResult(load_or_fit_map(context), drift)


def load_or_fit_map(context: JobContext) -> TransportMap:
    """The map that the job names, or the latest of the run; fitted if there is none."""
    return load_map(context.job, context.run) or fit_job(context).transport


def list_calibration_tasks(context: JobContext, *, relist: bool = True) -> list[statistics.MomentsTask]:
    """The tasks of the statistics, with the photos that are new; without these, where nothing hangs on them."""
    job, run = context.job, context.run
    try:
        return statistics.make_moments_tasks(
            job, run, context.options.allow_code, context.excluded_folders, relist=relist
        )
    except (NothingFoundError, StorageError) as error:
        if job.transport.refit is not RefitPolicy.NEVER or not list_run_maps(run):
            raise
        log.warning("no drift can be told, and the map stays as it is: %s", error)
        return statistics.make_moments_tasks(
            job, run, context.options.allow_code, context.excluded_folders, relist=False
        )


def apply_job(context: JobContext) -> RunSummary:
    """Transport every planned image that is not committed, and sum up.

    Raises:
        RunError: no map yet, or the output folder belongs to another run or holds other photos.
    """
    started = time.perf_counter()
    job, run, options = context.job, context.run, context.options
    transport = load_map(job, run)
    if transport is None:
        raise RunError(f"{run.uri} has no map yet: run 'deepot fit' or 'deepot run' first, or name a map in the job")
    transport.check_autoencoder(context.models.autoencoder)
    uncommitted = _uncommitted_shards(run)
    done_now = 0
    if uncommitted:
        clear_success_marker(run)  # another driver may have summed up before the rest was planned
        output = output_folder(job, transport.sha256)
        claim_output(output, run, context.fingerprint, job.output.layout, overwrite=options.overwrite)
        if job.output.layout is OutputLayout.FILES:
            check_case_collisions(run, output, job.output.format)
        options.progress.begin("apply", sum(uncommitted.values()))
        config = WorkerConfig(
            job, options.allow_code, run, output, context.fingerprint, find_latest_map_uri(job, run), transport.sha256
        )
        with (
            hold_lease(run, context.needs_exclusive_driver),
            cluster.ray_session(options.address, options.metrics_port) as session,
            session.worker_pool(job, options.allow_code) as pool,
        ):
            pool.configure(config, len(uncommitted))
            progress = metrics.RemainingGauge(options.progress, sum(uncommitted.values()))
            done_now = ShardScheduler(run, pool, progress)(iter_shards_by_descending_cost(run, uncommitted))
        options.progress.end()
    return finalize_run(run, done_now, time.perf_counter() - started)


def run_job(job: Job, options: RunOptions) -> RunSummary:
    """Plan, fit, apply, report: the whole job, or what is left of it."""
    started = time.perf_counter()
    with _ray_session_with_models(job, options):
        context = open_run(job, options)
        with hold_lease(context.run, context.needs_exclusive_driver):
            plan_summary = plan_job(context)
            if (
                _uncommitted_shards(context.run) and not options.overwrite and "{map}" not in job.output.uri
            ):  # before hours of statistics
                check_output_claim(output_folder(job, ""), context.run, job.output.layout)
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


def _package_version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
