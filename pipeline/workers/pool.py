"""What the stages require of worker processes: the pool protocol, and how workers end before their work is done."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from pipeline.config import Job
from pipeline.errors import ErrorCode, PipelineError
from pipeline.runs import ManifestFile
from pipeline.workers.resources import WorkerResources
from pipeline.workers.watchdog import ImageTimeoutError
from pipeline.workers.work_item import WorkerConfig, WorkItem

T = TypeVar("T")
R = TypeVar("R")

TaskExecutor = Callable[[Callable[[T], R], Sequence[T]], Iterable[R]]
"""Runs a function on tasks and yields the results in any order; `WorkerPool.map_unordered` is one."""


class WorkerDiedError(PipelineError):
    """A worker process ended before its work was done.

    Attributes:
        code: the error code of an image that ends its worker in this way.
    """

    code = ErrorCode.WORKER_DIED


class WorkerOutOfMemoryError(WorkerDiedError):
    """A worker process was killed because its machine ran out of memory."""

    code = ErrorCode.OUT_OF_MEMORY


class ShardPool(Protocol):
    """Worker processes that process work items, in any order; all that the shard scheduler requires."""

    def free_slots(self) -> int:
        """Return the number of work items that can be submitted now; negative after workers were lost."""

    def submit(self, item: WorkItem, *, exclusive: bool = False) -> None:
        """Submit a work item.

        Args:
            item: the work item.
            exclusive: nothing else is in progress, so that a death of the worker has one cause.
        """

    def wait(self) -> tuple[WorkItem, ManifestFile | WorkerDiedError | ImageTimeoutError]:
        """Wait for the next work item to end; returns it with its manifest file, or with why it has none.

        Raises:
            Exception: whatever else the worker raised.
        """


class WorkerPool(ShardPool, Protocol):
    """Worker processes that hold the models of a job; they also run functions on tasks, in any order."""

    @property
    def resources(self) -> WorkerResources:
        """The number of workers that there is room for, and what is reserved for each of them."""

    def map_unordered(
        self, function: Callable[[T], R], items: Sequence[T], on_worker_death: Callable[[T], R] | None = None
    ) -> Iterator[R]:
        """Run a function on tasks, one at a time in each worker, and yield the results in any order.

        Args:
            function: a function of a module; what it raises ends the iteration.
            items: the tasks.
            on_worker_death: gives the result of a task whose worker died at every attempt; None raises an error.

        Raises:
            PipelineError: no worker can start, or a task's worker died at every attempt.
        """

    def configure(self, config: WorkerConfig, max_workers: int) -> None:
        """Prepare at most `max_workers` workers for the shards of a run; returns once one of them has started.

        Raises:
            PipelineError: no worker can start.
        """


class WorkerSession(Protocol):
    """Gives the stages of a job their workers, which stay from one stage to the next."""

    def worker_pool(self, job: Job, allow_code: bool, n_photos: int) -> AbstractContextManager[WorkerPool]:
        """Return a context with the pool for a job; if the context raises, the workers are stopped.

        Args:
            job: the job.
            allow_code: whether it may name `module:factory`.
            n_photos: about how many photos the pool is for, which decides what kind of pool is worth its start.
        """
