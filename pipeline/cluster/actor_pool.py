"""The Ray actors of a worker pool: as many as the cluster has room for, with dead ones replaced."""

import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from pipeline.cluster.import_check import describe_import_failure
from pipeline.cluster.worker_actor import WorkerActor
from pipeline.config import Compute, Job
from pipeline.errors import PipelineError
from pipeline.storage import node_name
from pipeline.telemetry import current_log_format, set_worker_count
from pipeline.workers import (
    MAX_TASKS_IN_FLIGHT,
    ReadyWorkers,
    WorkerResources,
    plan_workers,
    with_fixed_gpu_share,
)

log = logging.getLogger(__name__)

POLL_INTERVAL_S = 2.0
"""How often the size of the cluster is checked."""
_NODE_DEATH_GRACE_S = 2.0  # for the cluster to notice that a dead worker's node is dead too; workers may go first
_UNAVAILABLE_GRACE_S = 10.0  # the same for a worker that does not answer
_NODE_DEATH_POLL_S = 0.2
_MAX_FAILED_STARTS_PER_ACTOR = 3  # in a row, through no fault of the actor's own
_PENDING_WARNING_S = 60.0  # without any worker, until the first warning and between two
_MAX_MESSAGE_CHARS = 500


@dataclass(eq=False)
class PooledActor:
    """An actor of the pool.

    Attributes:
        handle: its Ray handle.
        node_id: the ID of its node; None until it has started.
        n_in_flight: the number of its calls in progress.
        died_with_node: whether it died with its node; None while it lives.
    """

    handle: Any
    node_id: str | None = None
    n_in_flight: int = 0
    died_with_node: bool | None = None


def plan_cluster_workers(compute: Compute) -> WorkerResources:
    """Divide the nodes that the cluster has now into workers."""
    return plan_workers([node["Resources"] for node in _alive_nodes()], compute)


class ActorPool:
    """The actors of a worker pool.

    They stay from one stage to the next, because a new process would import everything and load the models again. A
    dead actor is replaced by a new one, which waits for resources and models like the first ones. Ray's own restarts
    are off: meanwhile they would answer calls with errors that look like another death.
    """

    def __init__(self, job: Job, allow_code: bool) -> None:
        """Make an empty pool."""
        self._job, self._allow_code = job, allow_code
        self._compute = job.compute
        self._actor_class: Any = None
        self._actors: dict[PooledActor, None] = {}  # in the order in which they were started
        self._pending: dict[Future[Any], PooledActor] = {}
        self._failed_starts = 0
        self._refreshed_at = 0.0
        self._empty_since = time.monotonic()
        self.max_size = 0
        """The largest number of actors that there is work for."""
        self.ready = ReadyWorkers[PooledActor]()
        """The actors that have started."""
        self.ended: SimpleQueue[Future[Any]] = SimpleQueue()
        """What has ended of what is watched, in this order: calls, and starts of actors."""

    def __len__(self) -> int:
        return len(self._actors)

    @property
    def pending(self) -> Mapping[Future[Any], PooledActor]:
        """The actors that have not started yet, by the future that ends when they have."""
        return self._pending

    @property
    def resources(self) -> WorkerResources:
        """The number of workers that the cluster has room for now, and what Ray reserves for each of them."""
        return plan_cluster_workers(self._compute)

    def start(self) -> None:
        """Start as many actors as the cluster has room for and there is work for."""
        import ray

        if self._actor_class is None:
            resources = plan_cluster_workers(self._compute)
            self._compute = with_fixed_gpu_share(self._compute, resources)
            remote = ray.remote(max_restarts=0, max_task_retries=0, max_concurrency=MAX_TASKS_IN_FLIGHT)(WorkerActor)
            self._actor_class = remote.options(num_cpus=resources.cpus, num_gpus=resources.gpus)
        self._scale_up()

    def refresh(self) -> None:
        """Start more actors if the cluster has grown, every few seconds; warn if none has started for long."""
        if time.monotonic() - self._refreshed_at > POLL_INTERVAL_S or not self._actors:
            self._scale_up()
        self._warn_if_pending()

    def scale_down(self, count: int) -> None:
        """Stop this many actors that have no calls in progress; those that have not started yet first."""
        import ray

        idle = [actor for actor in self._actors if not actor.n_in_flight]
        for actor in sorted(idle, key=lambda actor: actor.node_id is not None)[: max(0, count)]:
            ray.kill(actor.handle)
            self._forget(actor)
        self._pending = {start: actor for start, actor in self._pending.items() if actor in self._actors}

    def watch(self, reference: Any) -> Future[Any]:  # noqa: ANN401 — Ray has no types
        """Return the future of a reference; once it ends, it is in `ended`."""
        future: Future[Any] = reference.future()
        future.add_done_callback(self.ended.put)
        return future

    def on_actor_ready(self, start: Future[Any]) -> None:
        """Note that an actor has started, or failed to.

        Raises:
            PipelineError: its own code failed, or too many actors in a row were killed while they started.
        """
        import ray

        actor = self._pending.pop(start)
        try:
            actor.node_id = start.result()
        except ray.exceptions.RayError as error:
            max_failed_starts = _MAX_FAILED_STARTS_PER_ACTOR * len(self._actors)  # a lost node takes several at once
            self._forget(actor)
            self._failed_starts += 1
            was_killed = isinstance(error, ray.exceptions.OutOfMemoryError)  # the youngest, whoever takes the memory
            if getattr(error, "actor_init_failed", not was_killed) or self._failed_starts >= max_failed_starts:
                message = describe_import_failure(error) or " ".join(str(error).split())[-_MAX_MESSAGE_CHARS:]
                raise PipelineError(f"no worker can start: {message}") from error
            return
        self._failed_starts = 0
        self.ready.add(actor)
        self.export_size()

    def died_with_node(self, actor: PooledActor, error: Exception) -> bool:
        """Whether a dead actor died because its node did; waits a moment for the cluster to notice."""
        if actor.died_with_node is None:
            actor.died_with_node = _is_node_dead(actor.node_id, error)
        return actor.died_with_node

    def remove(self, actor: PooledActor) -> None:
        """Remove a dead actor and start another one in its place."""
        if actor in self._actors:
            self._forget(actor)
            self.export_size()
            self._scale_up()

    def export_size(self) -> None:
        """Export the number of actors that have started as a metric."""
        set_worker_count(len(self.ready))

    def close(self) -> None:
        """Stop all actors, whatever they are doing."""
        import ray

        for actor in self._actors:
            ray.kill(actor.handle)
        self._actors.clear()
        self._pending.clear()
        self.ready.clear()
        set_worker_count(0)

    def _forget(self, actor: PooledActor) -> None:
        del self._actors[actor]
        self.ready.discard(actor)

    def _scale_up(self) -> None:
        """Start actors if there are fewer than the cluster has room for and there is work for."""
        self._refreshed_at = time.monotonic()
        wanted = min(plan_cluster_workers(self._compute).count, self.max_size)
        for _ in range(wanted - len(self._actors)):
            arguments = self._job, self._allow_code, current_log_format(), node_name()
            actor = PooledActor(self._actor_class.remote(*arguments))
            self._actors[actor] = None
            self._pending[self.watch(actor.handle.ready.remote())] = actor

    def _warn_if_pending(self) -> None:
        """Warn if no actor has started for a while: Ray reports it in its own logs only."""
        now = time.monotonic()
        if self.ready:
            self._empty_since = now
        elif now - self._empty_since > _PENDING_WARNING_S:
            self._empty_since = now
            resources = plan_cluster_workers(self._compute)
            available = {
                kind: sum(node["Resources"].get(kind, 0.0) for node in _alive_nodes()) for kind in ("CPU", "GPU")
            }
            log.warning(
                "no worker has started yet: a worker needs %g CPUs and %g GPUs, the cluster has %g and %g; waiting",
                *(resources.cpus, resources.gpus),
                *available.values(),
            )


def _alive_nodes() -> list[dict[str, Any]]:
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def _is_node_dead(node_id: str | None, error: Exception) -> bool:
    import ray

    if node_id == ray.get_runtime_context().get_node_id():
        return False  # this driver's own node, which it would not outlive
    is_unavailable = isinstance(error, ray.exceptions.ActorUnavailableError)
    deadline = time.monotonic() + (_UNAVAILABLE_GRACE_S if is_unavailable else _NODE_DEATH_GRACE_S)
    while True:
        if not any(each["NodeID"] == node_id for each in _alive_nodes()):
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(_NODE_DEATH_POLL_S)
