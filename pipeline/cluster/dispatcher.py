"""The worker pool on Ray."""

import logging
from concurrent.futures import Future
from queue import Empty
from typing import Any

from pipeline.cluster.actor_pool import POLL_INTERVAL_S, ActorPool, PooledActor
from pipeline.config import Job
from pipeline.telemetry import start_metrics_export
from pipeline.workers import (
    ImageTimeoutError,
    QueuedWorkerPool,
    Task,
    WorkerConfig,
    WorkerDiedError,
    WorkerOutOfMemoryError,
)

log = logging.getLogger(__name__)


class RayWorkerPool(QueuedWorkerPool[PooledActor]):
    """A `WorkerPool` of Ray actors that each hold the models, as many as the cluster has room for.

    What a lost node had goes to other actors and does not count as a death of its worker.

    Ray reports the end of each call by a future; `ray.wait` would look at all calls in progress for every one that
    ends.
    """

    def __init__(self, job: Job, allow_code: bool) -> None:
        """Make a pool for a job; nothing is started yet."""
        self.actor_pool = ActorPool(job, allow_code)
        super().__init__(self.actor_pool)

    def configure(self, config: WorkerConfig, max_workers: int) -> None:
        """Prepare at most `max_workers` actors for the shards of a run; returns once one of them has started.

        Raises:
            PipelineError: no worker can start.
        """
        start_metrics_export(config.run, config.job.name)
        super().configure(config, max_workers)
        self.actor_pool.export_size()

    def _call(self, worker: PooledActor, task: Task) -> Future[Any]:
        if task.function is None:  # its few KB bypass Ray's object store even if that is full
            reference = worker.handle.process.remote(self._config, task.argument)
        else:
            reference = worker.handle.run.remote(task.function, task.argument)
        return self.actor_pool.watch(reference)

    def _poll(self) -> tuple[Task, Any] | None:
        self.actor_pool.refresh()
        try:
            ended = self.actor_pool.ended.get(timeout=POLL_INTERVAL_S)
        except Empty:
            return None
        if ended in self.actor_pool.pending:
            self.actor_pool.on_actor_ready(ended)
            self._dispatch()
            return None
        if ended not in self._in_flight:
            return None  # of an actor that was stopped
        return self._collect(ended)

    def _collect(self, ended: Future[Any]) -> tuple[Task, Any] | None:
        """Return an ended call with its outcome; None if its node was lost, so that it waits again."""
        import ray

        task, actor = self._end_call(ended)
        outcome: Any
        try:
            outcome = _get_result(ended)
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


def _get_result(ended: Future[Any]) -> Any:  # noqa: ANN401 — Ray has no types
    """Return the result of a call, or raise the exception that it raised."""
    import ray

    try:
        return ended.result()
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, Exception) else error) from None
