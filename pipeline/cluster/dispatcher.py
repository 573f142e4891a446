"""The worker pool on Ray: tasks that wait, tasks in flight, and how each of them ends."""

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pipeline.cluster.actor_pool import POLL_INTERVAL_S, ActorPool, PooledActor
from pipeline.cluster.worker_actor import MAX_TASKS_IN_FLIGHT
from pipeline.config import Job
from pipeline.errors import PipelineError
from pipeline.runs import ManifestFile
from pipeline.telemetry import start_metrics_export
from pipeline.workers import ImageTimeoutError, WorkerConfig, WorkerDiedError, WorkerOutOfMemoryError, WorkItem

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

_MAX_WORKER_DEATHS = 4  # workers that may die on one item of `map_unordered`


@dataclass(frozen=True)
class _Task:
    """One call of an actor.

    Attributes:
        argument: a work item, or an item of `map_unordered`.
        function: the function that is run on an item; None for a work item.
        max_in_flight: the largest number of calls of an actor, this one included.
    """

    argument: Any
    function: Callable[[Any], Any] | None = None
    max_in_flight: int = 1

    def __str__(self) -> str:
        return f"shard {self.argument.shard}" if isinstance(self.argument, WorkItem) else type(self.argument).__name__


class RayWorkerPool:
    """A `WorkerPool` of Ray actors that each hold the models, as many as the cluster has room for.

    They start with the first task. Tasks go to actors that have started. What a lost node had goes to other actors and
    does not count as a death of its worker.
    """

    def __init__(self, job: Job, allow_code: bool) -> None:
        """Make a pool for a job; nothing is started yet."""
        self.actor_pool = ActorPool(job, allow_code)
        self._config: WorkerConfig | None = None
        self._in_flight: dict[Any, tuple[_Task, PooledActor]] = {}
        self._queue: deque[_Task] = deque()

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
        self.actor_pool.max_size = max(self.actor_pool.max_size, len(items))
        self.actor_pool.start()
        n_running = 0
        while pending or n_running:
            while pending and n_running < len(self.actor_pool):
                self._submit(_Task(pending.popleft(), function))
                n_running += 1
            task, outcome = self._next_outcome()
            n_running -= 1
            if not isinstance(outcome, WorkerDiedError):
                yield outcome
                continue
            deaths[id(task.argument)] += 1
            log.warning("a worker died while it processed %s", task)
            if deaths[id(task.argument)] < _MAX_WORKER_DEATHS:
                pending.append(task.argument)
            elif on_worker_death is not None:
                yield on_worker_death(task.argument)
            else:
                raise PipelineError(
                    f"{_MAX_WORKER_DEATHS} worker processes died one after the other on the same {task}: {outcome}"
                ) from outcome

    def configure(self, config: WorkerConfig, max_workers: int) -> None:
        """Prepare at most `max_workers` actors for the shards of a run; returns once one of them has started.

        Raises:
            PipelineError: no worker can start.
        """
        start_metrics_export(config.run, config.job.name)
        self._config = config  # sent with every call: a few KB, which bypass Ray's object store even if that is full
        self.actor_pool.max_size = max_workers
        self.actor_pool.scale_down(len(self.actor_pool) - max_workers)
        self.actor_pool.start()
        while not any(self.actor_pool.running):
            self._poll()
        self.actor_pool.export_size()

    def free_slots(self) -> int:
        """Return the number of work items that can be submitted now; negative after actors were lost."""
        return MAX_TASKS_IN_FLIGHT * len(self.actor_pool) - len(self._in_flight) - len(self._queue)

    def submit(self, item: WorkItem, *, exclusive: bool = False) -> None:
        """Submit a work item; it goes to the actor with the fewest calls, once one has started and has room.

        Args:
            item: the work item.
            exclusive: nothing else is in progress, so that a death of the worker has one cause.

        Raises:
            RuntimeError: an exclusive work item was submitted while others are in progress.
        """
        if exclusive and (self._in_flight or self._queue):
            raise RuntimeError("an exclusive work item was submitted while others are in progress")
        self._submit(_Task(item, max_in_flight=MAX_TASKS_IN_FLIGHT))

    def wait(self) -> tuple[WorkItem, ManifestFile | WorkerDiedError | ImageTimeoutError]:
        """Wait for the next work item to end; returns it with its manifest file, or with why it has none.

        Raises:
            PipelineError: no worker can start.
            Exception: whatever else the worker raised.
        """
        task, outcome = self._next_outcome()
        return task.argument, outcome

    def close(self) -> None:
        """Stop the actors, whatever they are doing."""
        self.actor_pool.close()
        self._in_flight.clear()
        self._queue.clear()

    def _submit(self, task: _Task) -> None:
        self._queue.append(task)
        self._dispatch()

    def _next_outcome(self) -> tuple[_Task, Any]:
        """Wait for the next call to end; returns it with its result, its worker's death or the image that hangs."""
        while True:
            finished = self._poll()
            if finished is not None:
                return finished

    def _poll(self) -> tuple[_Task, Any] | None:
        """Wait a few seconds at most for an actor to start or a call to end; returns what `_collect` returns."""
        import ray

        self.actor_pool.refresh()
        ready, _ = ray.wait([*self._in_flight, *self.actor_pool.pending], timeout=POLL_INTERVAL_S)
        if not ready:
            return None
        if ready[0] in self.actor_pool.pending:
            self.actor_pool.on_actor_ready(ready[0])
            self._dispatch()
            return None
        return self._collect(ready[0])

    def _dispatch(self) -> None:
        """Start waiting calls on actors that have started, the one with the fewest calls first."""
        while self._queue:
            task = self._queue[0]
            available = [actor for actor in self.actor_pool.running if actor.n_in_flight < task.max_in_flight]
            if not available:
                return
            actor = min(available, key=lambda actor: actor.n_in_flight)
            self._queue.popleft()
            actor.n_in_flight += 1
            if task.function is None:
                reference = actor.handle.process.remote(self._config, task.argument)
            else:
                reference = actor.handle.run.remote(task.function, task.argument)
            self._in_flight[reference] = (task, actor)

    def _collect(self, reference: Any) -> tuple[_Task, Any] | None:  # noqa: ANN401 — Ray has no types
        """Return an ended call with its outcome; None if its node was lost, so that it waits again."""
        import ray

        task, actor = self._in_flight.pop(reference)
        actor.n_in_flight -= 1
        outcome: Any
        try:
            outcome = _get_result(reference)
        except ray.exceptions.OutOfMemoryError as error:  # is no RayActorError
            outcome = WorkerOutOfMemoryError(str(error))
            self.actor_pool.remove(actor)
        except ray.exceptions.RayActorError as error:
            outcome = WorkerDiedError(str(error))
            node_died = self.actor_pool.died_with_node(actor, error)
            self.actor_pool.remove(actor)
            if node_died:
                log.warning("a node was lost while it processed %s; another worker takes over", task)
                self._queue.appendleft(task)
                self._dispatch()
                return None
        except ImageTimeoutError as error:
            outcome = error
            ray.kill(actor.handle)
            self.actor_pool.remove(actor)
        self._dispatch()
        return task, outcome


def _get_result(reference: Any) -> Any:  # noqa: ANN401
    """Return the result of a call, or raise the exception that it raised."""
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, Exception) else error) from None
