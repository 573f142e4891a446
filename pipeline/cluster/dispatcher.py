"""The worker pool on Ray."""

import logging
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

    def _call(self, worker: PooledActor, task: Task) -> Any:  # noqa: ANN401 — Ray has no types
        if task.function is None:  # its few KB bypass Ray's object store even if that is full
            return worker.handle.process.remote(self._config, task.argument)
        return worker.handle.run.remote(task.function, task.argument)

    def _poll(self) -> tuple[Task, Any] | None:
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

    def _collect(self, reference: Any) -> tuple[Task, Any] | None:  # noqa: ANN401
        """Return an ended call with its outcome; None if its node was lost, so that it waits again."""
        import ray

        task, actor = self._end_call(reference)
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
