"""What worker pools have in common: a queue, dispatch to the worker with the fewest calls, retries after deaths."""

import logging
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pipeline.errors import PipelineError
from pipeline.runs import ManifestFile
from pipeline.workers.job_worker import MAX_TASKS_IN_FLIGHT
from pipeline.workers.pool import WorkerDiedError
from pipeline.workers.ready_workers import PooledWorker, ReadyWorkers
from pipeline.workers.resources import WorkerResources
from pipeline.workers.watchdog import ImageTimeoutError
from pipeline.workers.work_item import WorkerConfig, WorkItem

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

_MAX_WORKER_DEATHS = 4  # workers that may die on one item of `map_unordered`


W = TypeVar("W", bound=PooledWorker)


class WorkerSet(Protocol[W]):
    """The workers of a pool, with dead ones replaced.

    Attributes:
        max_size: the largest number of workers that there is work for.
    """

    max_size: int

    def __len__(self) -> int:
        """Return the number of workers, those that have not started yet included."""

    @property
    def ready(self) -> ReadyWorkers[W]:
        """The workers that have started."""

    @property
    def resources(self) -> WorkerResources:
        """The number of workers that there is room for, and what is reserved for each of them."""

    def start(self) -> None:
        """Start as many workers as there is room and work for."""

    def scale_down(self, count: int) -> None:
        """Stop this many workers that have no calls in progress; those that have not started yet first."""

    def close(self) -> None:
        """Stop all workers, whatever they are doing."""


@dataclass(frozen=True)
class Task:
    """One call of a worker.

    Attributes:
        argument: a work item, or an item of `map_unordered`.
        function: the function that is run on an item; None for a work item.
        max_in_flight: the largest number of calls of a worker, this one included.
    """

    argument: Any
    function: Callable[[Any], Any] | None = None
    max_in_flight: int = 1

    def __str__(self) -> str:
        return f"shard {self.argument.shard}" if isinstance(self.argument, WorkItem) else type(self.argument).__name__


class QueuedWorkerPool(ABC, Generic[W]):
    """A `WorkerPool` whose workers start with the first task; tasks go to workers that have started."""

    def __init__(self, workers: WorkerSet[W]) -> None:
        """Make a pool; nothing is started yet."""
        self._workers = workers
        self._config: WorkerConfig | None = None
        self._in_flight: dict[Any, tuple[Task, W]] = {}
        self._queue: deque[Task] = deque()

    @abstractmethod
    def _call(self, worker: W, task: Task) -> Hashable:
        """Start a call; returns its key in `_in_flight`."""

    @abstractmethod
    def _poll(self) -> tuple[Task, Any] | None:
        """Wait a few seconds at most for a worker to start or a call to end.

        Returns:
            An ended call with its result, its worker's death or the image that hangs; None if there is none.

        Raises:
            PipelineError: no worker can start.
            Exception: whatever else the worker raised.
        """

    @property
    def resources(self) -> WorkerResources:
        """The number of workers that there is room for, and what is reserved for each of them."""
        return self._workers.resources

    def map_unordered(
        self, function: Callable[[T], R], items: Sequence[T], on_worker_death: Callable[[T], R] | None = None
    ) -> Iterator[R]:
        """Run a function on items, one at a time in each worker, and yield the results in any order.

        Args:
            function: a function of a module; what it raises ends the iteration.
            items: the items.
            on_worker_death: gives the result of an item on which four workers died; None raises an error.

        Raises:
            PipelineError: no worker can start, or four workers died on the same item.
        """
        pending, deaths = deque(items), Counter[int]()
        self._workers.max_size = max(self._workers.max_size, len(items))
        self._workers.start()
        n_running = 0
        while pending or n_running:
            while pending and n_running < len(self._workers):
                self._submit(Task(pending.popleft(), function))
                n_running += 1
            task, outcome = self._next_outcome()
            n_running -= 1
            if not isinstance(outcome, WorkerDiedError):
                yield outcome
                continue
            deaths[id(task.argument)] += 1
            log.warning("a worker died while it processed %s: %s", task, outcome)
            if deaths[id(task.argument)] < _MAX_WORKER_DEATHS:
                pending.append(task.argument)
            elif on_worker_death is not None:
                yield on_worker_death(task.argument)
            else:
                raise PipelineError(
                    f"{_MAX_WORKER_DEATHS} worker processes died one after the other on the same {task}: {outcome}"
                ) from outcome

    def configure(self, config: WorkerConfig, max_workers: int) -> None:
        """Prepare at most `max_workers` workers for the shards of a run; returns once one of them has started.

        Raises:
            PipelineError: no worker can start.
        """
        self._config = config  # sent with every call
        self._workers.max_size = max_workers
        self._workers.scale_down(len(self._workers) - max_workers)
        self._workers.start()
        while not self._workers.ready:
            self._poll()

    def free_slots(self) -> int:
        """Return the number of work items that can be submitted now; negative after workers were lost."""
        return MAX_TASKS_IN_FLIGHT * len(self._workers) - len(self._in_flight) - len(self._queue)

    def submit(self, item: WorkItem, *, exclusive: bool = False) -> None:
        """Submit a work item; it goes to the worker with the fewest calls, once one has started and has room.

        Args:
            item: the work item.
            exclusive: nothing else is in progress, so that a death of the worker has one cause.

        Raises:
            RuntimeError: an exclusive work item was submitted while others are in progress.
        """
        if exclusive and (self._in_flight or self._queue):
            raise RuntimeError("an exclusive work item was submitted while others are in progress")
        self._submit(Task(item, max_in_flight=MAX_TASKS_IN_FLIGHT))

    def wait(self) -> tuple[WorkItem, ManifestFile | WorkerDiedError | ImageTimeoutError]:
        """Wait for the next work item to end; returns it with its manifest file, or with why it has none.

        Raises:
            PipelineError: no worker can start.
            Exception: whatever else the worker raised.
        """
        task, outcome = self._next_outcome()
        return task.argument, outcome

    def close(self) -> None:
        """Stop the workers, whatever they are doing."""
        self._workers.close()
        self._in_flight.clear()
        self._queue.clear()

    def _submit(self, task: Task) -> None:
        self._queue.append(task)
        self._dispatch()

    def _next_outcome(self) -> tuple[Task, Any]:
        """Wait for the next call to end; returns it with its result, its worker's death or the image that hangs."""
        while True:
            finished = self._poll()
            if finished is not None:
                return finished

    def _dispatch(self) -> None:
        """Start waiting calls on workers that have started, the one with the fewest calls first."""
        while self._queue:
            task = self._queue[0]
            worker = self._workers.ready.start_call(task.max_in_flight)
            if worker is None:
                return
            self._queue.popleft()
            self._in_flight[self._call(worker, task)] = task, worker

    def _end_call(self, key: Hashable) -> tuple[Task, W]:
        """Return a call that has ended, which is no longer in progress."""
        task, worker = self._in_flight.pop(key)
        self._workers.ready.end_call(worker)
        return task, worker
