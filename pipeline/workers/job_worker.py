"""The work of one worker process, whatever pool it belongs to: it holds the models and runs what the stages submit."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from pipeline.config import Job
from pipeline.escaping import escape
from pipeline.failures import DEVICE_ERRORS
from pipeline.runs import ManifestFile
from pipeline.telemetry import set_log_context
from pipeline.workers.freed_memory import keep_freed_memory
from pipeline.workers.models import load_models, set_torch_threads
from pipeline.workers.shard_worker import ShardWorker
from pipeline.workers.watchdog import ImageTimeoutError, hard_deadline
from pipeline.workers.work_item import WorkerConfig, WorkItem

T = TypeVar("T")
R = TypeVar("R")

MAX_TASKS_IN_FLIGHT = 2
"""The number of work items that a worker has: it computes one while it reads the photos of the other."""
_WATCHDOG_POLL_S = 2.0  # how often is checked whether an image hangs


class JobWorker:
    """The models of a job in a worker process, and the functions and work items that it runs with them.

    Its methods may be called from several threads. If the device fails, they end the process.
    """

    def __init__(self, job: Job, allow_code: bool, cores: int) -> None:
        """Load the models of a job.

        Args:
            job: the job.
            allow_code: whether it may name `module:factory`.
            cores: the number of cores that the process may use for reading, encoding and writing.

        Raises:
            DeepotError: a model cannot be loaded.
        """
        keep_freed_memory()
        load_models(job, allow_code)
        self._job = job
        self._cores = cores
        self._worker: ShardWorker | None = None
        self._configure_lock = threading.Lock()
        self._executor = ThreadPoolExecutor(MAX_TASKS_IN_FLIGHT, "work")

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

    def begin_run(self, config: WorkerConfig) -> None:
        """Prepare this process for the work items of another run."""
        set_log_context(run=config.run.uri, stage="apply")

    def _shard_worker(self, config: WorkerConfig) -> ShardWorker:
        """Return the shard worker of a run; it is made with the first work item, as the map has to be fitted before."""
        with self._configure_lock:
            if self._worker is None or self._worker.config != config:
                self.begin_run(config)
                self._worker = ShardWorker(config, self._cores)
            return self._worker


@contextlib.contextmanager
def _exit_on_device_error() -> Iterator[None]:
    """End the process if its device has failed, so that a new process takes its place."""
    try:
        yield
    except DEVICE_ERRORS as error:
        sys.stderr.write(f"{escape(str(error))}\n")
        os._exit(1)
