"""Actor: a worker process of a crew; it holds a job's models and does what the stages ask."""

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
from pipeline.failures import DEVICE_ERRORS
from pipeline.runs import ManifestFile
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
"""Pieces of work that an actor has in apply: one computed, one read ahead."""
_WATCHDOG_POLL_S = 2.0  # between two looks at whether an image hangs


class WorkerActor:
    """A worker process: the models of a job, and what the stages do with them."""

    def __init__(self, job: Job, allow_code: bool, log_format: LogFormat) -> None:
        configure_logging(log_format)
        _hide_unassigned_gpus()
        models = load_models(job, allow_code)
        self._cores = _own_cores()
        _check_gpu_visible(job, models.autoencoder)
        self._job = job
        self._worker: ShardWorker | None = None
        self._configure_lock = threading.Lock()
        self._executor = ThreadPoolExecutor(MAX_TASKS_IN_FLIGHT, "work")

    def ready(self) -> str:
        """The node that it is on."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def run(self, function: Callable[[T], R], item: T) -> R:
        """Run a function of another stage, which finds the models loaded."""
        set_torch_threads(self._job)
        with _exit_on_device_error():
            return function(item)

    def process(self, config: WorkerConfig, item: WorkItem) -> ManifestFile:
        """Do the work beside this thread, which looks at the clock; where it cannot even do that, the process ends."""
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
        """The shard worker, made at the first call: the map is not there any earlier."""
        with self._configure_lock:
            if self._worker is None or self._worker.config != config:
                set_log_context(run=config.run.uri, stage="apply")
                start_metrics_export(config.run, config.job.name)
                self._worker = ShardWorker(config, self._cores)
            return self._worker


def _own_cores() -> int:
    """Cores of this node that are this worker's share."""
    import ray

    context = ray.get_runtime_context()
    (node,) = [each for each in ray.nodes() if each["NodeID"] == context.get_node_id()]
    assigned = context.get_assigned_resources()
    return cores_per_worker(node["Resources"], assigned.get("CPU", 0.0), assigned.get("GPU", 0.0))


def _hide_unassigned_gpus() -> None:
    """Hide the GPUs of the node where Ray keeps none for this worker.

    Ray leaves them visible then, and every worker of such a node would compute on the first of them.
    """
    import ray

    if not ray.get_gpu_ids():
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def _check_gpu_visible(job: Job, autoencoder: LoadedAutoencoder) -> None:
    """Refuse to compute on the CPU what Ray keeps a GPU for; where a factory puts its autoencoder is its own matter.

    Raises:
        PipelineError: there is a GPU, and PyTorch sees none.
    """
    import ray

    if ray.get_gpu_ids() and autoencoder.device.type == "cpu" and not is_factory(job.autoencoder):
        cuda_build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
        raise PipelineError(
            f"Ray has a GPU for this worker, but PyTorch {torch.__version__}, built for {cuda_build}, sees none: "
            "install the PyTorch that fits the node's driver, or a newer driver, or set compute.gpus_per_worker: 0"
        )


@contextlib.contextmanager
def _exit_on_device_error() -> Iterator[None]:
    """End the process where its device has failed, so that another one takes its place."""
    try:
        yield
    except DEVICE_ERRORS as error:
        sys.stderr.write(f"{error}\n")
        os._exit(1)
