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
from deepot.transport.transport_map import Calibration, TransportMap
from pipeline.calibration import moments as statistics
from pipeline.calibration.drift import Drift, follow
from pipeline.calibration.maps import map_uri, maps, stored_map
from pipeline.calibration.photo_lists import enlist
from pipeline.cluster import session as cluster
from pipeline.config.job import Job, Refit, _fixed_part, output_folder
from pipeline.config.output_layout import Layout
from pipeline.errors import NothingFoundError, RunError, StorageError
from pipeline.progress import Progress, Quiet
from pipeline.reporting.report import write_report
from pipeline.runs.case_collisions import check_names
from pipeline.runs.commits import committed_numbers
from pipeline.runs.lease import lease
from pipeline.runs.manifest import made_by
from pipeline.runs.output_ownership import claim, see_claim
from pipeline.runs.paths import RUNS, Run
from pipeline.runs.plan import Outlook, extend, find_images, planned, slowest_first, unfinish
from pipeline.runs.requeue import failures, repair
from pipeline.runs.summary import Result, finish
from pipeline.sources.sampling import Sampler
from pipeline.stages.shard_scheduler import Apply
from pipeline.storage.folders import exists
from pipeline.storage.objects import absolute, create, join, now
from pipeline.telemetry import logs
from pipeline.telemetry import prometheus_metrics as metrics
from pipeline.workers.models import Models, load_models, use_threads
from pipeline.workers.shard_worker import Setup

log = logging.getLogger(__name__)

_PACKAGES = ("deepot", "torch", "diffusers", "ray", "pyarrow", "numpy", "pillow")


@dataclass(frozen=True)
class How:
    """How a command is carried out; none of it changes results.

    Attributes:
        address: of a Ray cluster; None starts Ray on this machine.
        allow_code: whether the job may name `module:factory`.
        replace: whether photos in the output folder that are not of this run may be written over.
        redo: whether what an earlier map of the run has done is done again by the latest.
        retry: whether shards with failures that may pass are done again.
        progress: told of finished images.
        metrics_port: of 127.0.0.1, where Ray on this machine exports metrics; None leaves it to Ray.
    """

    address: str | None = None
    allow_code: bool = False
    replace: bool = False
    redo: bool = False
    retry: bool = False
    progress: Progress = field(default_factory=Quiet)
    metrics_port: int | None = None


@dataclass(frozen=True)
class Fitted:
    """The map of a run, and how far its calibration has moved; no drift where the job names the map."""

    transport: TransportMap
    drift: Drift | None = None


@dataclass(frozen=True)
class Opened:
    """A job with its models and the folder of its run."""

    job: Job
    how: How
    models: Models
    fingerprint: str
    run: Run

    @property
    def outside(self) -> tuple[str, str]:
        """Folders whose files are never input: the results and the run's own."""
        return _fixed_part(self.job.output.uri), self.run.uri.rpartition("/")[0]

    @property
    def alone(self) -> bool:
        """Whether a second driver would write over files that rows of the first one name."""
        return self.job.output.layout is not Layout.MIRROR

    @property
    def samples_input(self) -> bool:
        """Whether the job is calibrated from its input."""
        return self.job.map is None and self.job.calibration is Calibration.SELF


def open_run(job: Job, how: How) -> Opened:
    """Load a job's models and find the folder of its run; writes run.json there the first time.

    Raises:
        DeepotError: a model cannot be loaded.
        StorageError: the run's folder cannot be written.
    """
    models = load_models(job, how.allow_code)
    identities = models.fingerprints()
    if job.map is not None:
        given = stored_map(job, Run(""))
        identities["map"] = given.sha256 if given else ""
    fingerprint = job.fingerprint(identities)
    root = absolute(job.run) if job.run else join(_fixed_part(job.output.uri), RUNS)
    run = Run(join(root, fingerprint[:16]))
    about = {
        "name": job.name,
        "fingerprint": fingerprint,
        "models": identities,
        "job": job.model_dump(mode="json"),
        "versions": {name: _version(name) for name in _PACKAGES} | {"python": platform.python_version()},
        "started": now(),
    }
    logs.about(run=run.uri)
    create(run.about, json.dumps(about, indent=2, sort_keys=True).encode())
    return Opened(job, how, models, fingerprint, run)


def plan_job(opened: Opened) -> Outlook:
    """List the input and freeze what is new of it as a part of the run's plan, and of what it is calibrated from."""
    job, run = opened.job, opened.run
    sampler = Sampler(job.source.limit) if opened.samples_input and job.source else None
    entries = find_images(job.input.images, "input", opened.outside)
    with lease(run):
        outlook = extend(run, sampler.watch(entries) if sampler else entries, job.compute.shard_images)
        if sampler:
            enlist(run, statistics.BOTH, sampler.chosen())
    return outlook


def redo_job(opened: Opened) -> Outlook:
    """Plan once more, for the latest map, what earlier ones have done and is still there."""
    latest = map_of(opened).sha256
    valid = made_by(opened.run, latest) | (set(planned(opened.run)) - committed_numbers(opened.run))
    entries = find_images(opened.job.input.images, "input", opened.outside)
    with lease(opened.run):
        return extend(opened.run, entries, opened.job.compute.shard_images, valid)


def retry_job(opened: Opened) -> int:
    """Take back the commits of shards with failures that may pass, so that `apply_job` does them; how many failures."""
    run = opened.run
    with lease(run):
        found = failures(run)
        requeued = repair(run, found)
    log.info("%d failures that may pass: %d shards of %d images again", len(found), requeued.shards, requeued.images)
    return len(found)


def fit_job(opened: Opened, *, look: bool = True) -> Fitted:
    """The map of the run, fitted where there is none, and again where new calibration photos and the job want it.

    Args:
        opened: the job.
        look: list the photos of the calibration; not needed right after `plan_job` where they are the input's.

    Raises:
        NothingFoundError: there are no photos to calibrate from.
        StorageError: they cannot be listed.
    """
    job, run, how = opened.job, opened.run, opened.how
    if job.map is not None:
        return Fitted(map_of(opened))
    use_threads(job)  # whoever has loaded the models: the last bits of a map depend on it

    def gather() -> tuple[list[Moments], list[Moments]]:
        with cluster.session(how.address, how.metrics_port) as session, session.crew(job, how.allow_code) as crew:
            return statistics.gather(pending, partial(crew.execute, died=statistics.died), how.progress)

    with lease(run):
        pending = calibration(opened, look=look)
        drift = follow(job, run, opened.models.codec, pending, gather)
    return Fitted(map_of(opened), drift)


def map_of(opened: Opened) -> TransportMap:
    """The map that the job names, or the latest of the run; fitted if there is none."""
    return stored_map(opened.job, opened.run) or fit_job(opened).transport


def calibration(opened: Opened, *, look: bool = True) -> list[statistics.Task]:
    """The tasks of the statistics, with the photos that are new; without these, where nothing hangs on them."""
    job, run = opened.job, opened.run
    try:
        return statistics.tasks(job, run, opened.how.allow_code, opened.outside, look=look)
    except (NothingFoundError, StorageError) as error:
        if job.transport.refit is not Refit.NEVER or not maps(run):
            raise
        log.warning("no drift can be told, and the map stays as it is: %s", error)
        return statistics.tasks(job, run, opened.how.allow_code, opened.outside, look=False)


def apply_job(opened: Opened) -> Result:
    """Transport every planned image that is not committed, and sum up.

    Raises:
        RunError: no map yet, or the output folder belongs to another run or holds other photos.
    """
    started = time.perf_counter()
    job, run, how = opened.job, opened.run, opened.how
    transport = stored_map(job, run)
    if transport is None:
        raise RunError(f"{run.uri} has no map yet: run 'deepot fit' or 'deepot run' first, or name a map in the job")
    transport.check(opened.models.codec)
    missing = _missing(run)
    done_now = 0
    if missing:
        unfinish(run)  # another driver may have summed up before the rest was planned
        output = output_folder(job, transport.sha256)
        claim(output, run, opened.fingerprint, job.output.layout, replace=how.replace)
        if job.output.layout is Layout.MIRROR:
            check_names(run, output, job.output.format)
        how.progress.begin("apply", sum(missing.values()))
        setup = Setup(job, how.allow_code, run, output, opened.fingerprint, map_uri(job, run), transport.sha256)
        with (
            lease(run, opened.alone),
            cluster.session(how.address, how.metrics_port) as session,
            session.crew(job, how.allow_code) as crew,
        ):
            crew.equip(setup, len(missing))
            progress = metrics.Left(how.progress, sum(missing.values()))
            done_now = Apply(run, crew, progress)(slowest_first(run, missing))
        how.progress.end()
    return finish(run, done_now, time.perf_counter() - started)


def run_job(job: Job, how: How) -> Result:
    """Plan, fit, apply, report: the whole job, or what is left of it."""
    started = time.perf_counter()
    with _session_and_models(job, how):
        opened = open_run(job, how)
        with lease(opened.run, opened.alone):
            outlook = plan_job(opened)
            if _missing(opened.run) and not how.replace and "{map}" not in job.output.uri:  # before hours of statistics
                see_claim(output_folder(job, ""), opened.run, job.output.layout)
            drift = fit_job(opened, look=not opened.samples_input).drift
            retried = retry_job(opened) if how.retry else 0
            if how.redo:
                redo_job(opened)
            result = replace(apply_job(opened), drift=drift.told if drift else None, retried=retried)
    news = result.done_now or outlook.marked or (drift and drift.new_images)
    if result.complete and (news or not exists(opened.run.report)):
        write_report(opened.run)
    return replace(result, seconds=time.perf_counter() - started)


def _missing(run: Run) -> dict[int, int]:
    """Shards of the plan without a commit, and how many images each has."""
    done = committed_numbers(run)
    return {number: images for number, images in planned(run).items() if number not in done}


@contextmanager
def _session_and_models(job: Job, how: How) -> Iterator[None]:
    """A session, and the models in memory: Ray waits for processes while they load."""
    with ThreadPoolExecutor(1, "models") as beside:
        loading = beside.submit(load_models, job, how.allow_code)
        with cluster.session(how.address, how.metrics_port):
            loading.result()
            yield


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
