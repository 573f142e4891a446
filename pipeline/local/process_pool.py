"""The worker pool on this machine without Ray."""

import contextlib
import itertools
import logging
import math
import os
import selectors
import signal
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.config import Job
from pipeline.errors import PipelineError
from pipeline.local.fork_server import ForkedProcess, ForkServer
from pipeline.local.worker_process import Answer, Call, WorkerSetup, send_message
from pipeline.telemetry import current_log_format
from pipeline.workers import (
    ImageTimeoutError,
    QueuedWorkerPool,
    ReadyWorkers,
    Task,
    WorkerDiedError,
    WorkerOutOfMemoryError,
    cores_per_worker,
    plan_workers,
)

_POLL_INTERVAL_S = 2.0
_MAX_FAILED_STARTS_PER_WORKER = 3  # in a row


@dataclass(eq=False)
class LocalWorker:
    """A worker process of the pool.

    Attributes:
        process: the process.
        gpu: the number of its GPU; None for none.
        started: whether it has loaded the models.
        n_in_flight: the number of its calls in progress.
    """

    process: ForkedProcess
    gpu: int | None
    started: bool = False
    n_in_flight: int = 0


class LocalWorkers:
    """The worker processes of a pool; a dead one is replaced by a new one."""

    def __init__(self, job: Job, allow_code: bool, server: ForkServer) -> None:
        """Make an empty set."""
        self._job, self._allow_code, self._server = job, allow_code, server
        self._workers: dict[LocalWorker, None] = {}  # in the order in which they were started
        self._selector = selectors.DefaultSelector()
        self._failed_starts = 0
        self._machine = _machine_resources()
        self.resources = plan_workers([self._machine], job.compute)
        """The number of workers that this machine has room for, and what each of them uses."""
        self.max_size = 0
        """The largest number of workers that there is work for."""
        self.ready = ReadyWorkers[LocalWorker]()
        """The workers that have started."""

    def __len__(self) -> int:
        return len(self._workers)

    def wait_for_messages(self, timeout_s: float) -> list[LocalWorker]:
        """Wait until workers have sent a message or died; returns these workers, none if there are none for so long."""
        return [key.data for key, _ in self._selector.select(timeout_s)]

    def start(self) -> None:
        """Start as many workers as there is room and work for."""
        for _ in range(min(self.resources.count, self.max_size) - len(self._workers)):
            gpu = self._free_gpu()
            worker = LocalWorker(self._server.start_process(), gpu)
            verbose = logging.getLogger().isEnabledFor(logging.INFO)
            cores = cores_per_worker(self._machine, self.resources.cpus, self.resources.gpus)
            setup = WorkerSetup(self._job, self._allow_code, current_log_format(), verbose, cores, gpu)
            send_message(worker.process.connection, setup)
            self._workers[worker] = None
            self._selector.register(worker.process.connection, selectors.EVENT_READ, worker)

    def scale_down(self, count: int) -> None:
        """Stop this many workers that have no calls in progress; those that have not started yet first."""
        idle = [worker for worker in self._workers if not worker.n_in_flight]
        for worker in sorted(idle, key=lambda worker: worker.started)[: max(0, count)]:
            self.stop(worker)

    def on_setup_answer(self, worker: LocalWorker, answer: Answer) -> None:
        """Note that a worker has loaded the models, or cannot.

        Raises:
            PipelineError: it cannot.
        """
        if answer.error is not None:
            raise PipelineError(f"no worker can start: {answer.error}") from answer.error
        worker.started = True
        self.ready.add(worker)
        self._failed_starts = 0

    def replace_dead(self, worker: LocalWorker, ooms_before: int) -> WorkerDiedError:
        """Start another worker in the place of a dead one; returns the error of its calls.

        Args:
            worker: the dead worker.
            ooms_before: how many processes the kernel had ended for memory before.

        Raises:
            PipelineError: too many workers in a row have died while they started.
        """
        exit_code = self._remove(worker)
        error_type = WorkerDiedError
        if exit_code == -signal.SIGKILL and count_oom_kills() > ooms_before:
            error_type = WorkerOutOfMemoryError
        error = error_type(f"the worker process {_describe_end(exit_code)}")
        if not worker.started:
            self._failed_starts += 1
            if self._failed_starts >= _MAX_FAILED_STARTS_PER_WORKER * self.resources.count:
                raise PipelineError(f"no worker can start: {error} while it loaded the models") from error
        self.start()
        return error

    def stop(self, worker: LocalWorker) -> None:
        """Kill a worker, whatever it is doing."""
        with contextlib.suppress(ProcessLookupError):  # without its server it may be gone for good
            os.kill(worker.process.pid, signal.SIGKILL)
        self._remove(worker)

    def close(self) -> None:
        """Stop all workers, whatever they are doing."""
        for worker in [*self._workers]:
            with contextlib.suppress(PipelineError):  # the server has ended
                self.stop(worker)

    def _remove(self, worker: LocalWorker) -> int:
        del self._workers[worker]
        self.ready.discard(worker)
        self._selector.unregister(worker.process.connection)
        worker.process.connection.close()
        return self._server.wait_exit_code(worker.process.pid)

    def _free_gpu(self) -> int | None:
        """Return the GPU with the fewest workers, if workers use GPUs."""
        if not self.resources.gpus:
            return None
        used = [worker.gpu for worker in self._workers]
        return min(range(int(self._machine["GPU"])), key=used.count)


class LocalWorkerPool(QueuedWorkerPool[LocalWorker]):
    """A `WorkerPool` of processes on this machine that each hold the models."""

    def __init__(self, job: Job, allow_code: bool, server: ForkServer) -> None:
        """Make a pool for a job; nothing is started yet."""
        self.workers = LocalWorkers(job, allow_code, server)
        super().__init__(self.workers)
        self._keys = itertools.count()
        self._ended: deque[tuple[Task, Any]] = deque()
        self._oom_kills = count_oom_kills()

    def _call(self, worker: LocalWorker, task: Task) -> int:
        key = next(self._keys)
        if task.function is None:
            call = Call(key, "process", (self._config, task.argument))
        else:
            call = Call(key, "run", (task.function, task.argument))
        with contextlib.suppress(OSError):  # it has died: `_poll` finds the end of its connection
            send_message(worker.process.connection, call)
        return key

    def _poll(self) -> tuple[Task, Any] | None:
        if not self._ended:
            for worker in self.workers.wait_for_messages(_POLL_INTERVAL_S):
                self._receive(worker)
            self._dispatch()
        return self._ended.popleft() if self._ended else None

    def close(self) -> None:
        """Stop the workers, whatever they are doing."""
        super().close()
        self._ended.clear()

    def _receive(self, worker: LocalWorker) -> None:
        """Take the next message of a worker, or note its death."""
        try:
            answer: Answer = worker.process.connection.recv()
        except (EOFError, OSError):
            self._on_death(worker)
            return
        if answer.key is None:
            self.workers.on_setup_answer(worker, answer)
            return
        task, _ = self._end_call(answer.key)
        if answer.error is None:
            self._ended.append((task, answer.result))
        elif isinstance(answer.error, ImageTimeoutError):
            self._ended.append((task, answer.error))
            self._fail_calls(worker, WorkerDiedError("the worker process was ended, as another of its images hangs"))
            self.workers.stop(worker)
            self.workers.start()
        else:
            answer.error.add_note(answer.trace)
            raise answer.error

    def _on_death(self, worker: LocalWorker) -> None:
        error = self.workers.replace_dead(worker, self._oom_kills)
        self._oom_kills = count_oom_kills()
        self._fail_calls(worker, error)

    def _fail_calls(self, worker: LocalWorker, error: WorkerDiedError) -> None:
        for key in [key for key, (_, other) in self._in_flight.items() if other is worker]:
            task, _ = self._end_call(key)
            self._ended.append((task, error))


def _machine_resources() -> dict[str, float]:
    """Return the CPUs that this process may use and the GPUs, as `plan_workers` takes them."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"CPU": float(max(1, min(cpus, read_cpu_quota()))), "GPU": float(torch.cuda.device_count())}


def read_cpu_quota(path: str = "/sys/fs/cgroup/cpu.max") -> float:
    """Return how many CPUs the container of this process may use; infinite without a limit.

    Args:
        path: the limit of the control group, "QUOTA PERIOD" in microseconds (cgroup v2).
    """
    try:
        quota, period = Path(path).read_text(encoding="ascii").split()
        return math.inf if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return math.inf


def count_oom_kills() -> int:
    """Return how many processes the kernel of this machine has ended for memory; 0 where it does not count them."""
    try:
        fields = dict(line.split() for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines())
    except OSError:
        return 0
    return int(fields.get("oom_kill", 0))


def _describe_end(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended with status {exit_code}"
    try:
        return f"was killed by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"was killed by signal {-exit_code}"
