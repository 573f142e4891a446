"""The Ray actor of a worker process: it holds the models of a job and runs what the stages submit."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import torch

from deepot.autoencoder import LoadedAutoencoder
from deepot.spec import is_factory
from pipeline.cluster.resources import cores_per_worker
from pipeline.config import Job
from pipeline.errors import PipelineError
from pipeline.escaping import escape
from pipeline.failures import DEVICE_ERRORS
from pipeline.runs import ManifestFile
from pipeline.storage import node_name, set_access_advice
from pipeline.telemetry import LogFormat, configure_logging, set_log_context, start_metrics_export
from pipeline.workers import (
    ImageTimeoutError,
    ShardWorker,
    WorkerConfig,
    WorkItem,
    hard_deadline,
    load_models,
    set_torch_threads,
)

T = TypeVar("T")
R = TypeVar("R")

MAX_TASKS_IN_FLIGHT = 2
"""The number of work items that an actor has: it computes one while it reads the photos of the other."""
_WATCHDOG_POLL_S = 2.0  # how often is checked whether an image hangs


class WorkerActor:
    """A worker process with the models of a job."""

    def __init__(self, job: Job, allow_code: bool, log_format: LogFormat, driver_node: str) -> None:
        """Load the models of a job.

        Args:
            job: the job.
            allow_code: whether it may name `module:factory`.
            log_format: the format of log lines.
            driver_node: the name of the machine of the driver.
        """
        configure_logging(log_format)
        _explain_refusals(driver_node)
        _hide_unassigned_gpus()
        models = load_models(job, allow_code)
        self._cores = _own_cores()
        _check_gpu_visible(job, models.autoencoder)
        self._job = job
        self._worker: ShardWorker | None = None
        self._configure_lock = threading.Lock()
        self._executor = ThreadPoolExecutor(MAX_TASKS_IN_FLIGHT, "work")

    def ready(self) -> str:
        """Return the ID of the node; answers once the models are loaded."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def run(self, function: Callable[[T], R], item: T) -> R:
        """Run a function of a stage; `load_models` returns the loaded ones there."""
        set_torch_threads(self._job)
        with _exit_on_device_error():
            return function(item)

    def process(self, config: WorkerConfig, item: WorkItem) -> ManifestFile:
        """Process a work item in another thread, while this one watches the time limits of its images.

        If native code blocks even this thread, a hard deadline ends the process.

        Raises:
            ImageTimeoutError: an image has exceeded its time limit; the thread may go on working on it.
        """
        worker = self._shard_worker(config)
        uris = {entry.uri for entry in item.entries}
        future = self._executor.submit(worker.process, item)
        while True:
            with hard_deadline(_WATCHDOG_POLL_S + self._job.limits.image_timeout_s):
                wait([future], timeout=_WATCHDOG_POLL_S)
            if future.done():
                with _exit_on_device_error():
                    return future.result()
            expired = uris & worker.watchdog.expired()
            if expired:
                raise ImageTimeoutError(min(expired))

    def _shard_worker(self, config: WorkerConfig) -> ShardWorker:
        """Return the shard worker of a run; it is made with the first work item, as the map has to be fitted before."""
        with self._configure_lock:
            if self._worker is None or self._worker.config != config:
                set_log_context(run=config.run.uri, stage="apply")
                start_metrics_export(config.run, config.job.name)
                self._worker = ShardWorker(config, self._cores)
            return self._worker


def _own_cores() -> int:
    """Return the number of this node's cores that are the share of this worker."""
    import ray

    context = ray.get_runtime_context()
    (node,) = [each for each in ray.nodes() if each["NodeID"] == context.get_node_id()]
    assigned = context.get_assigned_resources()
    return cores_per_worker(node["Resources"], assigned.get("CPU", 0.0), assigned.get("GPU", 0.0))


def _explain_refusals(driver_node: str) -> None:
    """Add to messages about refused access how a worker on another machine gets the credentials of the driver's."""
    if node_name() != driver_node:
        set_access_advice(
            f"this worker has those of its own node: if only {driver_node} has them, pass them in env_vars of Ray's "
            "runtime_env, or give the node an instance role"
        )


def _hide_unassigned_gpus() -> None:
    """Hide all GPUs from PyTorch if Ray reserves none for this worker.

    Ray leaves them visible then, and every such worker would compute on the first of them.
    """
    import ray

    if not ray.get_gpu_ids():
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def _check_gpu_visible(job: Job, autoencoder: LoadedAutoencoder) -> None:
    """Refuse to compute on the CPU while Ray reserves a GPU; a `module:factory` places its autoencoder itself.

    Raises:
        PipelineError: a GPU is reserved for this worker, and PyTorch sees none.
    """
    import ray

    if ray.get_gpu_ids() and autoencoder.device.type == "cpu" and not is_factory(job.autoencoder):
        cuda_build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
        raise PipelineError(
            f"Ray reserves a GPU for this worker, but PyTorch {torch.__version__}, built for {cuda_build}, sees none: "
            "install the PyTorch that fits the node's driver, or a newer driver, or set compute.gpus_per_worker: 0"
        )


@contextlib.contextmanager
def _exit_on_device_error() -> Iterator[None]:
    """End the process if its device has failed, so that a new process takes its place."""
    try:
        yield
    except DEVICE_ERRORS as error:
        sys.stderr.write(f"{escape(str(error))}\n")
        os._exit(1)
