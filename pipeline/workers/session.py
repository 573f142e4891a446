"""A session keeps a worker pool from one stage of a job to the next, so that its models are loaded once."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from pipeline.config import Job
from pipeline.workers.pool import WorkerPool


class ClosablePool(WorkerPool, Protocol):
    """A worker pool whose workers can be stopped."""

    def close(self) -> None:
        """Stop the workers, whatever they are doing."""


P = TypeVar("P", bound=ClosablePool)


class PoolSession(Generic[P]):
    """Keeps the worker pool of a job until another job or the end of the session."""

    def __init__(self, make_pool: Callable[[Job, bool], P]) -> None:
        """Make a session without a pool.

        Args:
            make_pool: makes the pool of a job, given whether the job may name `module:factory`.
        """
        self._make_pool = make_pool
        self._pool: tuple[tuple[Job, bool], P] | None = None

    @contextlib.contextmanager
    def worker_pool(self, job: Job, allow_code: bool, n_photos: int = 0) -> Iterator[P]:
        """Give the worker pool of a job; if the context raises, the workers are stopped."""
        if self._pool is None or self._pool[0] != (job, allow_code):
            self.close()
            self._pool = (job, allow_code), self._make_pool(job, allow_code)
        try:
            yield self._pool[1]
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop the workers."""
        if self._pool is not None:
            self._pool[1].close()
        self._pool = None
