"""Crew: actors that hold a job's models and work through its stages, as many as the cluster has room for."""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pipeline import logs, metrics
from pipeline.actor import IN_FLIGHT, Actor
from pipeline.apply import OutOfMemoryError, WorkerDiedError
from pipeline.config import Compute, Job
from pipeline.errors import PipelineError
from pipeline.manifest import Part
from pipeline.shard import Setup, Work
from pipeline.slots import Slots, divide, settled
from pipeline.watch import ImageHangsError

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

_LIVES = 4  # workers that an item of `execute` may take with it
_LOOK_S = 2.0  # between two looks at how large the cluster is
_NOTICE_S = 2.0  # in which a cluster notices that the node of a dead worker is gone too: workers may go first
_SILENCE_S = 10.0  # the same where the worker only does not answer
_STARTS = 3  # that may fail in a row, for each actor, without an error of their own


def slots(compute: Compute) -> Slots:
    """Divide the cluster of the session, as it is now, into workers."""
    import ray

    return divide([node["Resources"] for node in ray.nodes() if node["Alive"]], compute)


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


@dataclass(frozen=True)
class _Call:
    """Something for an actor to do.

    Attributes:
        given: the work of apply, or an item.
        function: for an item; None for work of apply.
        most: calls that an actor may have once it has this one.
    """

    given: Any
    function: Callable[[Any], Any] | None = None
    most: int = 1

    def __str__(self) -> str:
        return f"shard {self.given.shard}" if isinstance(self.given, Work) else type(self.given).__name__


class RayCrew:
    """Actors that each hold the models, as many as the cluster takes now; a `pipeline.apply.Crew`.

    They start at the first thing there is to do, and stay from one stage to the next: a process of its own for each
    stage would import everything and load the models again. A dead actor is replaced by a new one, which waits for
    resources and models like the first ones; Ray's own restarts would answer calls with errors meanwhile, and those
    could not be told from another death. Work goes to actors that have started. What was on a node that is known to be
    lost goes to another one, and nobody blames its images.
    """

    def __init__(self, job: Job, allow_code: bool) -> None:
        """A crew for a job; nothing is started yet."""
        self._job, self._allow_code = job, allow_code
        self._compute = job.compute
        self._most = 0
        self._setup: Setup | None = None
        self._remote: Any = None
        self._members: list[_Member] = []
        self._starting: dict[Any, _Member] = {}
        self._flying: dict[Any, tuple[_Call, _Member]] = {}
        self._waiting: deque[_Call] = deque()
        self._failed_starts = 0
        self._looked = 0.0

    def execute(
        self, function: Callable[[T], R], items: Sequence[T], died: Callable[[T], R] | None = None
    ) -> Iterator[R]:
        """Run a function on many items, one at a time on each actor; results in any order.

        Args:
            function: of a module; what it raises ends the work.
            items: what it is run on.
            died: what to give for an item whose worker died each time; without it that ends the work.

        Raises:
            PipelineError: no worker can be started, or an item's worker died four times.
        """
        waiting, deaths = deque(items), Counter[int]()
        self._most = max(self._most, len(items))
        self._start()
        running = 0
        while waiting or running:
            while waiting and running < len(self._members):
                self._submit(_Call(waiting.popleft(), function))
                running += 1
            call, outcome = self._next()
            running -= 1
            if not isinstance(outcome, WorkerDiedError):
                yield outcome
                continue
            deaths[id(call.given)] += 1
            log.warning("a worker died over %s", call)
            if deaths[id(call.given)] < _LIVES:
                waiting.append(call.given)
            elif died is not None:
                yield died(call.given)
            else:
                raise PipelineError(f"a worker process died {_LIVES} times over the same work: {outcome}") from outcome

    def equip(self, setup: Setup, most: int) -> None:
        """Tell the crew what apply is about, and that no more than `most` actors are of use to it.

        Raises:
            PipelineError: no worker can be started.
        """
        metrics.start(setup.run, setup.job.name)
        self._setup = setup  # goes with every call: a few KB, which Ray's store, full or not, has no part in
        self._most = most
        self._let_go(len(self._members) - most)
        self._start()
        while not any(member.node for member in self._members):
            self._step()
        self._count()

    def free(self) -> int:
        """How much more work fits: two pieces an actor."""
        return IN_FLIGHT * len(self._members) - len(self._flying) - len(self._waiting)

    def submit(self, work: Work, *, alone: bool = False) -> None:
        """Hand work to the actor that has the least, once one has started and has room.

        Raises:
            RuntimeError: work that goes alone was submitted beside other work.
        """
        if alone and (self._flying or self._waiting):
            raise RuntimeError("work that goes alone was submitted beside other work")
        self._submit(_Call(work, most=IN_FLIGHT))

    def wait(self) -> tuple[Work, Part | WorkerDiedError | ImageHangsError]:
        """The next finished work.

        Raises:
            PipelineError: no worker can be started.
        """
        call, outcome = self._next()
        return call.given, outcome

    def close(self) -> None:
        """Let the actors go, with whatever they are at."""
        import ray

        for member in self._members:
            ray.kill(member.actor)
        for held in (self._members, self._starting, self._flying, self._waiting):
            held.clear()
        metrics.workers(0)

    def _start(self) -> None:
        """See that there are as many actors as the cluster takes and there is work for."""
        import ray

        if self._remote is None:
            each = slots(self._compute)
            self._compute = settled(self._compute, each)
            remote = ray.remote(max_restarts=0, max_task_retries=0, max_concurrency=IN_FLIGHT)(Actor)
            self._remote = remote.options(num_cpus=each.cpus, num_gpus=each.gpus)
        self._follow()

    def _let_go(self, count: int) -> None:
        """Let so many actors go, of those that have nothing to do; those that have not started yet first."""
        import ray

        idle = [member for member in self._members if not member.calls]
        for member in sorted(idle, key=lambda member: member.node is not None)[: max(0, count)]:
            ray.kill(member.actor)
            self._members.remove(member)
            self._starting = {ready: other for ready, other in self._starting.items() if other is not member}

    def _submit(self, call: _Call) -> None:
        self._waiting.append(call)
        self._hand_out()

    def _next(self) -> tuple[_Call, Any]:
        """The next call that has ended, with what it gave, its worker's death or the image that hangs."""
        while True:
            finished = self._step()
            if finished is not None:
                return finished

    def _step(self) -> tuple[_Call, Any] | None:
        """Wait for one thing to happen, a while at most: an actor has started, or a call has ended."""
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
            member = _Member(self._remote.remote(self._job, self._allow_code, logs.chosen()))
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
            killed = isinstance(error, ray.exceptions.OutOfMemoryError)  # the youngest goes, whoever takes the memory
            if getattr(error, "actor_init_failed", not killed) or self._failed_starts >= enough:
                said = " ".join(str(error).split())[-500:]
                raise PipelineError(f"no worker could start: {said}") from error
            return
        self._failed_starts = 0
        self._count()
        self._hand_out()

    def _count(self) -> None:
        """Export how many actors there are that have started."""
        metrics.workers(sum(member.node is not None for member in self._members))

    def _hand_out(self) -> None:
        """Give waiting calls to actors that have started, the least busy first."""
        while self._waiting:
            call = self._waiting[0]
            started = [member for member in self._members if member.node and member.calls < call.most]
            if not started:
                return
            member = min(started, key=lambda member: member.calls)
            self._waiting.popleft()
            member.calls += 1
            if call.function is None:
                reference = member.actor.process.remote(self._setup, call.given)
            else:
                reference = member.actor.run.remote(call.function, call.given)
            self._flying[reference] = (call, member)

    def _take(self, reference: Any) -> tuple[_Call, Any] | None:  # noqa: ANN401
        """A call that has ended, with its outcome; None where its node was lost and it waits again."""
        import ray

        call, member = self._flying.pop(reference)
        member.calls -= 1
        outcome: Any
        try:
            outcome = _result(reference)
        except ray.exceptions.OutOfMemoryError as error:  # is no RayActorError
            outcome = OutOfMemoryError(str(error))
            self._dismiss(member)
        except ray.exceptions.RayActorError as error:
            outcome = WorkerDiedError(str(error))
            if member.lost is None:
                member.lost = _is_lost(member.node, error)
            self._dismiss(member)
            if member.lost:
                log.warning("a node was lost with %s in work; another worker does it", call)
                self._waiting.appendleft(call)
                self._hand_out()
                return None
        except ImageHangsError as error:
            outcome = error
            ray.kill(member.actor)
            self._dismiss(member)
        self._hand_out()
        return call, outcome

    def _dismiss(self, member: _Member) -> None:
        """A dead actor is no longer of the crew; another takes its place."""
        if member in self._members:
            self._members.remove(member)
            self._count()
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


def _result(reference: Any) -> Any:  # noqa: ANN401 — Ray has no types
    """A task's result, or the exception that it raised as it was."""
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, Exception) else error) from None
