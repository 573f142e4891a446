"""Roster: the actors of a crew, as many as the cluster has room for; who has started, who is free, who is gone."""

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.cluster.resources import WorkerResources, plan_workers, with_fixed_gpu_share
from pipeline.cluster.worker_actor import MAX_TASKS_IN_FLIGHT, WorkerActor
from pipeline.config import Compute, Job
from pipeline.errors import PipelineError
from pipeline.telemetry import current_log_format, set_worker_count

log = logging.getLogger(__name__)

POLL_INTERVAL_S = 2.0
"""Between two looks at how large the cluster is."""
_NODE_DEATH_GRACE_S = 2.0  # in which a cluster notices that the node of a dead worker is gone too: workers may go first
_UNAVAILABLE_GRACE_S = 10.0  # the same where the worker only does not answer
_MAX_FAILED_STARTS_PER_ACTOR = 3  # that may fail in a row, for each actor, without an error of their own
_PENDING_WARNING_S = 60.0  # without any worker, before that is told, and told again


@dataclass
class PooledActor:
    """An actor of the crew.

    Attributes:
        handle: its handle.
        node_id: that it is on, once it has started.
        n_in_flight: that it has.
        died_with_node: once it is dead, whether it died with its node.
    """

    handle: Any
    node_id: str | None = None
    n_in_flight: int = 0
    died_with_node: bool | None = None


def plan_cluster_workers(compute: Compute) -> WorkerResources:
    """Divide the cluster of the session, as it is now, into workers."""
    return plan_workers([node["Resources"] for node in _alive_nodes()], compute)


class ActorPool:
    """The actors of a crew.

    They stay from one stage to the next: a process of its own for each stage would import everything and load the
    models again. A dead actor is replaced by a new one, which waits for resources and models like the first ones;
    Ray's own restarts would answer calls with errors meanwhile, and those could not be told from another death.
    """

    def __init__(self, job: Job, allow_code: bool) -> None:
        """A roster without anybody on it."""
        self._job, self._allow_code = job, allow_code
        self._compute = job.compute
        self._actor_class: Any = None
        self._actors: list[PooledActor] = []
        self._pending: dict[Any, PooledActor] = {}
        self._failed_starts = 0
        self._refreshed_at = 0.0
        self._empty_since = time.monotonic()  # since when nobody has been there
        self.max_size = 0
        """Actors that are of use."""

    def __len__(self) -> int:
        return len(self._actors)

    @property
    def pending(self) -> Mapping[Any, PooledActor]:
        """Those that have not started yet, by what becomes ready once they have."""
        return self._pending

    @property
    def running(self) -> Iterator[PooledActor]:
        """Those that have."""
        return (member for member in self._actors if member.node_id)

    def start(self) -> None:
        """See that there are as many actors as the cluster takes and there is work for."""
        import ray

        if self._actor_class is None:
            resources = plan_cluster_workers(self._compute)
            self._compute = with_fixed_gpu_share(self._compute, resources)
            remote = ray.remote(max_restarts=0, max_task_retries=0, max_concurrency=MAX_TASKS_IN_FLIGHT)(WorkerActor)
            self._actor_class = remote.options(num_cpus=resources.cpus, num_gpus=resources.gpus)
        self._scale_up()

    def refresh(self) -> None:
        """Follow the cluster, now and then."""
        if time.monotonic() - self._refreshed_at > POLL_INTERVAL_S or not self._actors:
            self._scale_up()
        self._warn_if_pending()

    def scale_down(self, count: int) -> None:
        """Let so many actors go, of those that have nothing to do; those that have not started yet first."""
        import ray

        idle = [member for member in self._actors if not member.n_in_flight]
        for actor in sorted(idle, key=lambda member: member.node_id is not None)[: max(0, count)]:
            ray.kill(actor.handle)
            self._actors.remove(actor)
            self._pending = {ready: other for ready, other in self._pending.items() if other is not actor}

    def on_actor_ready(self, ready_ref: Any) -> None:  # noqa: ANN401 — Ray has no types
        """An actor has started, or could not.

        Raises:
            PipelineError: it could not by its own fault, or too many died of others' in a row.
        """
        import ray

        actor = self._pending.pop(ready_ref)
        try:
            actor.node_id = ray.get(ready_ref)
        except ray.exceptions.RayError as error:
            max_failed_starts = _MAX_FAILED_STARTS_PER_ACTOR * len(
                self._actors
            )  # a node may have taken several with it
            self._actors.remove(actor)
            self._failed_starts += 1
            killed = isinstance(error, ray.exceptions.OutOfMemoryError)  # the youngest goes, whoever takes the memory
            if getattr(error, "actor_init_failed", not killed) or self._failed_starts >= max_failed_starts:
                message = " ".join(str(error).split())[-500:]
                raise PipelineError(f"no worker could start: {message}") from error
            return
        self._failed_starts = 0
        self.export_size()

    def died_with_node(self, actor: PooledActor, error: Exception) -> bool:
        """Whether an actor died because its node did; the cluster has a moment to notice."""
        if actor.died_with_node is None:
            actor.died_with_node = _is_node_dead(actor.node_id, error)
        return actor.died_with_node

    def remove(self, actor: PooledActor) -> None:
        """A dead actor is no longer of the crew; another takes its place."""
        if actor in self._actors:
            self._actors.remove(actor)
            self.export_size()
            self._scale_up()

    def export_size(self) -> None:
        """Export how many actors there are that have started."""
        set_worker_count(sum(1 for _ in self.running))

    def close(self) -> None:
        """Let all actors go, with whatever they are at."""
        import ray

        for actor in self._actors:
            ray.kill(actor.handle)
        self._actors.clear()
        self._pending.clear()
        set_worker_count(0)

    def _scale_up(self) -> None:
        """Start actors where there are fewer than the cluster has room for, or the job wants."""
        self._refreshed_at = time.monotonic()
        wanted = min(plan_cluster_workers(self._compute).count, self.max_size)
        for _ in range(wanted - len(self._actors)):
            actor = PooledActor(self._actor_class.remote(self._job, self._allow_code, current_log_format()))
            self._actors.append(actor)
            self._pending[actor.handle.ready.remote()] = actor

    def _warn_if_pending(self) -> None:
        """Warn where there has been nobody for a while: Ray's own word on it goes to its logs."""
        now = time.monotonic()
        if any(self.running):
            self._empty_since = now
        elif now - self._empty_since > _PENDING_WARNING_S:
            self._empty_since = now
            resources = plan_cluster_workers(self._compute)
            available = {
                kind: sum(node["Resources"].get(kind, 0.0) for node in _alive_nodes()) for kind in ("CPU", "GPU")
            }
            log.warning(
                "no worker has started yet: each wants %g CPUs and %g GPUs, the cluster has %g and %g; still waiting",
                *(resources.cpus, resources.gpus),
                *available.values(),
            )


def _alive_nodes() -> list[dict[str, Any]]:
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def _is_node_dead(node_id: str | None, error: Exception) -> bool:
    import ray

    is_unavailable = isinstance(error, ray.exceptions.ActorUnavailableError)
    deadline = time.monotonic() + (_UNAVAILABLE_GRACE_S if is_unavailable else _NODE_DEATH_GRACE_S)
    while True:
        if not any(each["NodeID"] == node_id for each in _alive_nodes()):
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.2)
