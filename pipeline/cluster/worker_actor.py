"""Actor: a worker process of a crew; it holds a job's models and does what the stages ask."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import torch

from deepot.autoencoder.autoencoder import Codec
from deepot.spec import is_factory
from pipeline.cluster.resources import cores
from pipeline.config.job import Job
from pipeline.errors import PipelineError
from pipeline.failures import DEVICE_FAULTS
from pipeline.runs.commits import Part
from pipeline.telemetry import logs
from pipeline.telemetry import prometheus_metrics as metrics
from pipeline.workers.models import load_models, use_threads
from pipeline.workers.shard_worker import Setup, ShardWorker, Work
from pipeline.workers.watchdog import ImageHangsError, last_resort

T = TypeVar("T")
R = TypeVar("R")

IN_FLIGHT = 2
"""Pieces of work that an actor has in apply: one computed, one read ahead."""
_LOOK_S = 2.0  # between two looks at whether an image hangs


class Actor:
    """A worker process: the models of a job, and what the stages do with them."""

    def __init__(self, job: Job, allow_code: bool, log_format: logs.LogFormat) -> None:
        logs.start(log_format)
        _see_no_gpu_of_others()
        models = load_models(job, allow_code)
        self._cores = _own_cores()
        _see_that_its_gpu_is_used(job, models.codec)
        self._job = job
        self._worker: ShardWorker | None = None
        self._equipping = threading.Lock()
        self._calls = ThreadPoolExecutor(IN_FLIGHT, "work")

    def ready(self) -> str:
        """The node that it is on."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def run(self, function: Callable[[T], R], item: T) -> R:
        """Run a function of another stage, which finds the models loaded."""
        use_threads(self._job)
        with _ended_with_its_device():
            return function(item)

    def process(self, setup: Setup, work: Work) -> Part:
        """Do the work beside this thread, which looks at the clock; where it cannot even do that, the process ends."""
        worker = self._equipped(setup)
        uris = {entry.uri for entry in work.entries}
        working = self._calls.submit(worker.process, work)
        while True:
            with last_resort(_LOOK_S + self._job.limits.image_s):
                wait([working], timeout=_LOOK_S)
            if working.done():
                with _ended_with_its_device():
                    return working.result()
            hanging = uris & worker.watch.overdue()
            if hanging:
                raise ImageHangsError(min(hanging))

    def _equipped(self, setup: Setup) -> ShardWorker:
        """The shard worker, made at the first call: the map is not there any earlier."""
        with self._equipping:
            if self._worker is None or self._worker.setup != setup:
                logs.about(run=setup.run.uri, stage="apply")
                metrics.start(setup.run, setup.job.name)
                self._worker = ShardWorker(setup, self._cores)
            return self._worker


def _own_cores() -> int:
    """Cores of this node that are this worker's share."""
    import ray

    context = ray.get_runtime_context()
    (node,) = [each for each in ray.nodes() if each["NodeID"] == context.get_node_id()]
    kept = context.get_assigned_resources()
    return cores(node["Resources"], kept.get("CPU", 0.0), kept.get("GPU", 0.0))


def _see_no_gpu_of_others() -> None:
    """Hide the GPUs of the node where Ray keeps none for this worker.

    Ray leaves them visible then, and every worker of such a node would compute on the first of them.
    """
    import ray

    if not ray.get_gpu_ids():
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def _see_that_its_gpu_is_used(job: Job, codec: Codec) -> None:
    """Refuse to compute on the CPU what Ray keeps a GPU for; where a factory puts its autoencoder is its own matter.

    Raises:
        PipelineError: there is a GPU, and PyTorch sees none.
    """
    import ray

    if ray.get_gpu_ids() and codec.device.type == "cpu" and not is_factory(job.vae):
        built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
        raise PipelineError(
            f"Ray has a GPU for this worker, but PyTorch {torch.__version__}, built for {built}, sees none: "
            "install the PyTorch that fits the node's driver, or a newer driver, or set compute.gpus_per_actor: 0"
        )


@contextlib.contextmanager
def _ended_with_its_device() -> Iterator[None]:
    """End the process where its device has failed, so that another one takes its place."""
    try:
        yield
    except DEVICE_FAULTS as error:
        sys.stderr.write(f"{error}\n")
        os._exit(1)
