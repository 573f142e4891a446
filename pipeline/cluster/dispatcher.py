"""Crew: the calls that a job's stages make of its actors: those that wait, those in flight, and how each one ends."""

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

_MAX_WORKER_DEATHS = 4  # workers that an item of `map_unordered` may take with it


@dataclass(frozen=True)
class _Task:
    """Something for an actor to do.

    Attributes:
        argument: the work of apply, or an item.
        function: for an item; None for work of apply.
        max_in_flight: calls that an actor may have once it has this one.
    """

    argument: Any
    function: Callable[[Any], Any] | None = None
    max_in_flight: int = 1

    def __str__(self) -> str:
        return f"shard {self.argument.shard}" if isinstance(self.argument, WorkItem) else type(self.argument).__name__


class RayWorkerPool:
    """Actors that each hold the models, as many as the cluster takes now; a `pipeline.stages.shard_scheduler.WorkerPool`.

    They start at the first thing there is to do. Work goes to actors that have started. What was on a node that is
    known to be lost goes to another one, and nobody blames its images.
    """

    def __init__(self, job: Job, allow_code: bool) -> None:
        """A crew for a job; nothing is started yet."""
        self.actor_pool = ActorPool(job, allow_code)
        self._config: WorkerConfig | None = None
        self._in_flight: dict[Any, tuple[_Task, PooledActor]] = {}
        self._queue: deque[_Task] = deque()

    def map_unordered(
        self, function: Callable[[T], R], items: Sequence[T], on_worker_death: Callable[[T], R] | None = None
    ) -> Iterator[R]:
        """Run a function on many items, one at a time on each actor; results in any order.

        Args:
            function: of a module; what it raises ends the work.
            items: what it is run on.
            on_worker_death: what to give for an item whose worker died each time; without it that ends the work.

        Raises:
            PipelineError: no worker can be started, or an item's worker died four times.
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
            log.warning("a worker died over %s", task)
            if deaths[id(task.argument)] < _MAX_WORKER_DEATHS:
                pending.append(task.argument)
            elif on_worker_death is not None:
                yield on_worker_death(task.argument)
            else:
                raise PipelineError(
                    f"a worker process died {_MAX_WORKER_DEATHS} times over the same work: {outcome}"
                ) from outcome

    def configure(self, config: WorkerConfig, max_workers: int) -> None:
        """Tell the crew what apply is about, and that no more than `max_workers` actors are of use to it.

        Raises:
            PipelineError: no worker can be started.
        """
        start_metrics_export(config.run, config.job.name)
        self._config = config  # goes with every call: a few KB, which Ray's store, full or not, has no part in
        self.actor_pool.max_size = max_workers
        self.actor_pool.scale_down(len(self.actor_pool) - max_workers)
        self.actor_pool.start()
        while not any(self.actor_pool.running):
            self._poll()
        self.actor_pool.export_size()

    def free_slots(self) -> int:
        """How much more work fits: two pieces an actor."""
        return MAX_TASKS_IN_FLIGHT * len(self.actor_pool) - len(self._in_flight) - len(self._queue)

    def submit(self, item: WorkItem, *, exclusive: bool = False) -> None:
        """Hand work to the actor that has the least, once one has started and has room.

        Raises:
            RuntimeError: work that goes alone was submitted beside other work.
        """
        if exclusive and (self._in_flight or self._queue):
            raise RuntimeError("work that goes alone was submitted beside other work")
        self._submit(_Task(item, max_in_flight=MAX_TASKS_IN_FLIGHT))

    def wait(self) -> tuple[WorkItem, ManifestFile | WorkerDiedError | ImageTimeoutError]:
        """The next finished work.

        Raises:
            PipelineError: no worker can be started.
        """
        task, outcome = self._next_outcome()
        return task.argument, outcome

    def close(self) -> None:
        """Let the actors go, with whatever they are at."""
        self.actor_pool.close()
        self._in_flight.clear()
        self._queue.clear()

    def _submit(self, task: _Task) -> None:
        self._queue.append(task)
        self._dispatch()

    def _next_outcome(self) -> tuple[_Task, Any]:
        """The next call that has ended, with what it gave, its worker's death or the image that hangs."""
        while True:
            finished = self._poll()
            if finished is not None:
                return finished

    def _poll(self) -> tuple[_Task, Any] | None:
        """Wait for one thing to happen, a while at most: an actor has started, or a call has ended."""
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
        """Give waiting calls to actors that have started, the least busy first."""
        while self._queue:
            task = self._queue[0]
            available = [member for member in self.actor_pool.running if member.n_in_flight < task.max_in_flight]
            if not available:
                return
            actor = min(available, key=lambda member: member.n_in_flight)
            self._queue.popleft()
            actor.n_in_flight += 1
            if task.function is None:
                reference = actor.handle.process.remote(self._config, task.argument)
            else:
                reference = actor.handle.run.remote(task.function, task.argument)
            self._in_flight[reference] = (task, actor)

    def _collect(self, reference: Any) -> tuple[_Task, Any] | None:  # noqa: ANN401 — Ray has no types
        """A call that has ended, with its outcome; None where its node was lost and it waits again."""
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
                log.warning("a node was lost with %s in work; another worker does it", task)
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
    """A task's result, or the exception that it raised as it was."""
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, Exception) else error) from None
