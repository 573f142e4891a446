"""Where the stages get their workers: processes on this machine, or Ray."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar

from pipeline import cluster, local
from pipeline.config import Job
from pipeline.errors import ConfigError
from pipeline.stages.job_context import RunOptions
from pipeline.workers import WorkerPool, WorkerSession, any_models_loaded

MAX_LOCAL_PHOTOS = 200
"""With `compute.pool: auto`, jobs of more photos than this use Ray.

Ray takes some twelve seconds to start. In a long job that is nothing, and Ray watches the memory of the machine and
exports metrics.
"""


class JobSession:
    """A session that chooses between local workers and Ray when the first pool is asked for, and keeps to it."""

    def __init__(self, job: Job, options: RunOptions, stack: ExitStack) -> None:
        self._options, self._stack = options, stack
        self._needs_ray = _needs_ray(job, options)
        self._ray: WorkerSession | None = None
        may_fork = options.fork_workers and not any_models_loaded()
        self._local = None if self._needs_ray else stack.enter_context(local.local_session(fork=may_fork))

    def start_ray_if_needed(self) -> None:
        """Start or join Ray if it is sure to be used; otherwise that is decided by the number of photos."""
        if self._needs_ray:
            self._open_ray()

    @contextmanager
    def worker_pool(self, job: Job, allow_code: bool, n_photos: int) -> Iterator[WorkerPool]:
        """Give the worker pool of a job; if the context raises, the workers are stopped."""
        with self._choose(job, n_photos).worker_pool(job, allow_code, n_photos) as pool:
            yield pool

    def _choose(self, job: Job, n_photos: int) -> WorkerSession:
        is_small = job.compute.pool == "local" or n_photos <= MAX_LOCAL_PHOTOS
        if self._local is not None and self._ray is None and is_small:
            return self._local
        return self._open_ray()

    def _open_ray(self) -> WorkerSession:
        if self._ray is None:
            self._ray = self._stack.enter_context(
                cluster.ray_session(self._options.address, self._options.metrics_port)
            )
        return self._ray


_current: ContextVar[JobSession | None] = ContextVar("worker_session", default=None)


@contextmanager
def worker_session(job: Job, options: RunOptions) -> Iterator[JobSession]:
    """Open a session for the workers of a command; within another one of this thread it is that one.

    Raises:
        ConfigError: the job asks for local workers, and the command for what only Ray has.
        PipelineError: Ray cannot start on this machine, or the cluster cannot be joined.
    """
    if (current := _current.get()) is not None:
        yield current
        return
    with ExitStack() as stack:
        session = JobSession(job, options, stack)
        stack.callback(_current.reset, _current.set(session))
        yield session


def _needs_ray(job: Job, options: RunOptions) -> bool:
    asks_for_ray = {"--address": options.address, "--metrics-port": options.metrics_port}
    given = [flag for flag, value in asks_for_ray.items() if value is not None]
    if given and job.compute.pool == "local":
        raise ConfigError(f"compute.pool is local, which works without Ray: leave out {given[0]}, or compute.pool")
    return bool(given) or job.compute.pool == "ray"
