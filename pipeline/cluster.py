"""Cluster: the only module that knows Ray: sessions, statistics tasks, apply's actors."""

import contextlib
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from pipeline.apply import WorkerDiedError
from pipeline.config import Compute
from pipeline.errors import PipelineError
from pipeline.manifest import Part
from pipeline.shard import Setup, ShardWorker, Work
from pipeline.watch import ImageHangsError, last_resort

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

_IN_FLIGHT = 2  # pieces of work an actor has: one computed, one read ahead
_LOOK_S = 2.0  # between two looks at how large the cluster is, and at whether an image hangs
_NOTICE_S = 2.0  # in which a cluster notices that the node of a dead worker is gone too: workers may go first
_SILENCE_S = 10.0  # the same where the worker only does not answer
_STARTS = 3  # that may fail in a row, for each actor, without an error of their own
_OBJECT_STORE_BYTES = 256 * 2**20  # only small things go through it
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_DEDUP_LOGS": "0"}


@dataclass(frozen=True)
class Slots:
    """How many workers a cluster takes and what each one holds."""

    count: int
    cpus: float
    gpus: float


@contextlib.contextmanager
def session(address: str | None = None) -> Iterator[None]:
    """A Ray session: on the cluster at `address`, otherwise started on this machine, without dashboard.

    Raises:
        PipelineError: there is no cluster at the address.
    """
    os.environ.update({key: value for key, value in _QUIET.items() if key not in os.environ})
    import ray

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        options |= {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
    joined = ray.is_initialized()
    try:
        if not joined:
            ray.init(address or "local", **options)  # None would join a cluster that happens to run on this machine
    except (ConnectionError, ValueError) as error:
        raise PipelineError(f"no Ray cluster at '{address}': {' '.join(str(error).split())}") from error
    try:
        yield
    finally:
        if not joined:
            ray.shutdown()


def slots(compute: Compute) -> Slots:
    """Divide the cluster of the session, as it is now, into workers, as the job asks.

    Where the job says how many workers there may be, so many are wanted whatever the cluster has: those without room
    are what an autoscaling cluster grows for, and they go with the driver.
    """
    import ray

    total = ray.cluster_resources()
    cpus, gpus = total.get("CPU", 0.0), total.get("GPU", 0.0)
    per_gpu = (1.0 if gpus else 0.0) if compute.gpus_per_actor == "auto" else compute.gpus_per_actor
    fitting = max(1, int(gpus // per_gpu) if per_gpu else int(cpus // compute.threads))
    if compute.actors != "auto":
        return Slots(compute.actors, min(float(compute.threads), cpus / compute.actors or 1.0), per_gpu)
    share = min(float(compute.threads), cpus / fitting) if cpus else float(compute.threads)
    return Slots(fitting if compute.max_actors == "auto" else compute.max_actors, share, per_gpu)


def run_tasks(
    compute: Compute, died: Callable[[T], R] | None = None
) -> Callable[[Callable[[T], R], Sequence[T]], Iterator[R]]:
    """A way of running a function on many items as Ray tasks, as many at a time as there are slots.

    Args:
        compute: the slots.
        died: what to give for an item whose worker died each time; without it that ends the work with a PipelineError.
    """

    def execute(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        import ray

        each = slots(compute)
        remote = ray.remote(function).options(num_cpus=each.cpus, num_gpus=each.gpus, max_retries=3)
        waiting = iter(items)
        flying = {remote.remote(item): item for item in islice(waiting, each.count)}
        while flying:
            (ready,), _ = ray.wait(list(flying))
            item = flying.pop(ready)
            try:
                result = _result(ready)
            except ray.exceptions.WorkerCrashedError as error:
                if died is None:
                    raise PipelineError(f"a worker process died four times over the same work: {error}") from error
                result = died(item)
            yield result
            room = slots(compute).count - len(flying)
            flying |= {remote.remote(item): item for item in islice(waiting, max(0, room))}

    return execute


@dataclass
class _Member:
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


class RayCrew:
    """Actors that each hold the models, as many as the cluster takes now; a `pipeline.apply.Crew`.

    A dead actor is replaced by a new one, which waits for resources and models like the first ones; Ray's own restarts
    would answer calls with errors meanwhile, and those could not be told from another death. Work goes to actors that
    have started. What was on a node that is known to be lost goes to another one, and nobody blames its images.
    """

    def __init__(self, setup: Setup, compute: Compute, most: int) -> None:
        """Start as many actors as the cluster takes, `most` at the most, and wait for the first to be ready.

        Raises:
            PipelineError: the models cannot be loaded on the workers.
        """
        import ray

        self._compute, self._most, self._setup = compute, most, setup
        each = slots(compute)
        remote = ray.remote(max_restarts=0, max_task_retries=0, max_concurrency=_IN_FLIGHT)(_Actor)
        self._remote = remote.options(num_cpus=each.cpus, num_gpus=each.gpus)
        self._members: list[_Member] = []
        self._starting: dict[Any, _Member] = {}
        self._flying: dict[Any, tuple[Work, _Member]] = {}
        self._waiting: deque[Work] = deque()
        self._failed_starts = 0
        self._looked = 0.0
        while not any(member.node for member in self._members):
            self._step()

    def free(self) -> int:
        """How much more work fits: two pieces an actor."""
        return _IN_FLIGHT * len(self._members) - len(self._flying) - len(self._waiting)

    def submit(self, work: Work, *, alone: bool = False) -> None:
        """Hand work to the actor that has the least, once one has started and has room.

        Raises:
            RuntimeError: work that goes alone was submitted beside other work.
        """
        if alone and (self._flying or self._waiting):
            raise RuntimeError("work that goes alone was submitted beside other work")
        self._waiting.append(work)
        self._hand_out()

    def wait(self) -> tuple[Work, Part | WorkerDiedError | ImageHangsError]:
        """The next finished work.

        Raises:
            PipelineError: no worker can be started.
        """
        while True:
            finished = self._step()
            if finished is not None:
                return finished

    def close(self) -> None:
        """Let the actors go."""
        import ray

        for member in self._members:
            ray.kill(member.actor)

    def _step(self) -> tuple[Work, Part | WorkerDiedError | ImageHangsError] | None:
        """Wait for one thing to happen, a while at most: an actor has started, or a piece of work has ended."""
        import ray

        if time.monotonic() - self._looked > _LOOK_S or not self._members:
            self._follow()
        ready, _ = ray.wait([*self._flying, *self._starting], timeout=_LOOK_S)
        if not ready:
            return None
        if ready[0] in self._starting:
            self._welcome(ready[0])
            return None
        return self._take(ready[0])

    def _follow(self) -> None:
        """Start actors where there are fewer than the cluster has room for, or the job wants."""
        self._looked = time.monotonic()
        wanted = min(slots(self._compute).count, self._most)
        for _ in range(wanted - len(self._members)):
            member = _Member(self._remote.remote(self._setup))
            self._members.append(member)
            self._starting[member.actor.ready.remote()] = member

    def _welcome(self, reference: Any) -> None:  # noqa: ANN401 — Ray has no types
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
            if getattr(error, "actor_init_failed", True) or self._failed_starts >= enough:
                said = " ".join(str(error).split())[-500:]
                raise PipelineError(f"no worker could start: {said}") from error
            return
        self._failed_starts = 0
        self._hand_out()

    def _hand_out(self) -> None:
        """Give waiting work to actors that have started, the least busy first."""
        while self._waiting:
            started = [member for member in self._members if member.node and member.calls < _IN_FLIGHT]
            if not started:
                return
            member = min(started, key=lambda member: member.calls)
            work = self._waiting.popleft()
            member.calls += 1
            self._flying[member.actor.process.remote(work)] = (work, member)

    def _take(self, reference: Any) -> tuple[Work, Part | WorkerDiedError | ImageHangsError] | None:  # noqa: ANN401
        """The work of a call that has ended; None where its node was lost and the work waits again."""
        import ray

        work, member = self._flying.pop(reference)
        member.calls -= 1
        outcome: Part | WorkerDiedError | ImageHangsError
        try:
            outcome = _result(reference)
        except ray.exceptions.RayActorError as error:
            outcome = WorkerDiedError(str(error))
            if member.lost is None:
                member.lost = _is_lost(member.node, error)
            self._dismiss(member)
            if member.lost:
                log.warning("a node was lost with shard %d in work; another worker does it", work.shard)
                self._waiting.appendleft(work)
                self._hand_out()
                return None
        except ImageHangsError as error:
            outcome = error
            ray.kill(member.actor)
            self._dismiss(member)
        self._hand_out()
        return work, outcome

    def _dismiss(self, member: _Member) -> None:
        """A dead actor is no longer of the crew; another takes its place."""
        if member in self._members:
            self._members.remove(member)
            self._follow()


def _is_lost(node: str | None, error: Exception) -> bool:
    """Whether an actor died because its node did; the cluster has a moment to notice."""
    import ray

    silent = isinstance(error, ray.exceptions.ActorUnavailableError)
    deadline = time.monotonic() + (_SILENCE_S if silent else _NOTICE_S)
    while True:
        if not any(each["NodeID"] == node and each["Alive"] for each in ray.nodes()):
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.2)


class _Actor:
    """The Ray side of a ShardWorker."""

    def __init__(self, setup: Setup) -> None:
        self._worker = ShardWorker(setup)
        self._image_s = setup.job.limits.image_s
        self._calls = ThreadPoolExecutor(_IN_FLIGHT, "work")

    def ready(self) -> str:
        """The node that it is on."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def process(self, work: Work) -> Part:
        """Do the work beside this thread, which looks at the clock; where it cannot even do that, the process ends."""
        uris = {entry.uri for entry in work.entries}
        working = self._calls.submit(self._worker.process, work)
        while True:
            with last_resort(_LOOK_S + self._image_s):
                wait([working], timeout=_LOOK_S)
            if working.done():
                return working.result()
            hanging = uris & self._worker.watch.overdue()
            if hanging:
                raise ImageHangsError(min(hanging))


def _result(reference: Any) -> Any:  # noqa: ANN401 — Ray has no types
    """A task's result, or the exception that it raised as it was."""
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, Exception) else error) from None
