"""Roster: the actors of a crew, as many as the cluster has room for; who has started, who is free, who is gone."""

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.cluster.resources import Slots, divide, settled
from pipeline.cluster.worker_actor import IN_FLIGHT, Actor
from pipeline.config.job import Compute, Job
from pipeline.errors import PipelineError
from pipeline.telemetry import logs
from pipeline.telemetry import prometheus_metrics as metrics

log = logging.getLogger(__name__)

LOOK_S = 2.0
"""Between two looks at how large the cluster is."""
_NOTICE_S = 2.0  # in which a cluster notices that the node of a dead worker is gone too: workers may go first
_SILENCE_S = 10.0  # the same where the worker only does not answer
_STARTS = 3  # that may fail in a row, for each actor, without an error of their own
_PATIENCE_S = 60.0  # without any worker, before that is told, and told again


@dataclass
class Member:
    """An actor of the crew.

    Attributes:
        actor: its handle.
        node: that it is on, once it has started.
        calls: that it has.
        lost: once it is dead, whether it died with its node.
    """

    actor: Any
    node: str | None = None
    calls: int = 0
    lost: bool | None = None


def slots(compute: Compute) -> Slots:
    """Divide the cluster of the session, as it is now, into workers."""
    return divide([node["Resources"] for node in _alive()], compute)


class Roster:
    """The actors of a crew.

    They stay from one stage to the next: a process of its own for each stage would import everything and load the
    models again. A dead actor is replaced by a new one, which waits for resources and models like the first ones;
    Ray's own restarts would answer calls with errors meanwhile, and those could not be told from another death.
    """

    def __init__(self, job: Job, allow_code: bool) -> None:
        """A roster without anybody on it."""
        self._job, self._allow_code = job, allow_code
        self._compute = job.compute
        self._remote: Any = None
        self._members: list[Member] = []
        self._starting: dict[Any, Member] = {}
        self._failed_starts = 0
        self._looked = 0.0
        self._without = time.monotonic()  # since when nobody has been there
        self.most = 0
        """Actors that are of use."""

    def __len__(self) -> int:
        return len(self._members)

    @property
    def starting(self) -> Mapping[Any, Member]:
        """Those that have not started yet, by what becomes ready once they have."""
        return self._starting

    @property
    def started(self) -> Iterator[Member]:
        """Those that have."""
        return (member for member in self._members if member.node)

    def start(self) -> None:
        """See that there are as many actors as the cluster takes and there is work for."""
        import ray

        if self._remote is None:
            each = slots(self._compute)
            self._compute = settled(self._compute, each)
            remote = ray.remote(max_restarts=0, max_task_retries=0, max_concurrency=IN_FLIGHT)(Actor)
            self._remote = remote.options(num_cpus=each.cpus, num_gpus=each.gpus)
        self._follow()

    def look(self) -> None:
        """Follow the cluster, now and then."""
        if time.monotonic() - self._looked > LOOK_S or not self._members:
            self._follow()
        self._tell_of_waiting()

    def let_go(self, count: int) -> None:
        """Let so many actors go, of those that have nothing to do; those that have not started yet first."""
        import ray

        idle = [member for member in self._members if not member.calls]
        for member in sorted(idle, key=lambda member: member.node is not None)[: max(0, count)]:
            ray.kill(member.actor)
            self._members.remove(member)
            self._starting = {ready: other for ready, other in self._starting.items() if other is not member}

    def welcome(self, reference: Any) -> None:  # noqa: ANN401 — Ray has no types
        """An actor has started, or could not.

        Raises:
            PipelineError: it could not by its own fault, or too many died of others' in a row.
        """
        import ray

        member = self._starting.pop(reference)
        try:
            member.node = ray.get(reference)
        except ray.exceptions.RayError as error:
            enough = _STARTS * len(self._members)  # a node may have taken several with it
            self._members.remove(member)
            self._failed_starts += 1
            killed = isinstance(error, ray.exceptions.OutOfMemoryError)  # the youngest goes, whoever takes the memory
            if getattr(error, "actor_init_failed", not killed) or self._failed_starts >= enough:
                said = " ".join(str(error).split())[-500:]
                raise PipelineError(f"no worker could start: {said}") from error
            return
        self._failed_starts = 0
        self.count()

    def is_lost(self, member: Member, error: Exception) -> bool:
        """Whether an actor died because its node did; the cluster has a moment to notice."""
        if member.lost is None:
            member.lost = _is_lost(member.node, error)
        return member.lost

    def dismiss(self, member: Member) -> None:
        """A dead actor is no longer of the crew; another takes its place."""
        if member in self._members:
            self._members.remove(member)
            self.count()
            self._follow()

    def count(self) -> None:
        """Export how many actors there are that have started."""
        metrics.workers(sum(1 for _ in self.started))

    def close(self) -> None:
        """Let all actors go, with whatever they are at."""
        import ray

        for member in self._members:
            ray.kill(member.actor)
        self._members.clear()
        self._starting.clear()
        metrics.workers(0)

    def _follow(self) -> None:
        """Start actors where there are fewer than the cluster has room for, or the job wants."""
        self._looked = time.monotonic()
        wanted = min(slots(self._compute).count, self.most)
        for _ in range(wanted - len(self._members)):
            member = Member(self._remote.remote(self._job, self._allow_code, logs.chosen()))
            self._members.append(member)
            self._starting[member.actor.ready.remote()] = member

    def _tell_of_waiting(self) -> None:
        """Warn where there has been nobody for a while: Ray's own word on it goes to its logs."""
        now = time.monotonic()
        if any(self.started):
            self._without = now
        elif now - self._without > _PATIENCE_S:
            self._without = now
            each = slots(self._compute)
            has = {kind: sum(node["Resources"].get(kind, 0.0) for node in _alive()) for kind in ("CPU", "GPU")}
            log.warning(
                "no worker has started yet: each wants %g CPUs and %g GPUs, the cluster has %g and %g; still waiting",
                *(each.cpus, each.gpus),
                *has.values(),
            )


def _alive() -> list[dict[str, Any]]:
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def _is_lost(node: str | None, error: Exception) -> bool:
    import ray

    silent = isinstance(error, ray.exceptions.ActorUnavailableError)
    deadline = time.monotonic() + (_SILENCE_S if silent else _NOTICE_S)
    while True:
        if not any(each["NodeID"] == node for each in _alive()):
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.2)
