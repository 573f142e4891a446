"""Crew: the calls that a job's stages make of its actors: those that wait, those in flight, and how each one ends."""

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pipeline.cluster.actor_pool import LOOK_S, Member, Roster
from pipeline.cluster.worker_actor import IN_FLIGHT
from pipeline.config.job import Job
from pipeline.errors import PipelineError
from pipeline.runs.commits import Part
from pipeline.telemetry import prometheus_metrics as metrics
from pipeline.workers.pool import OutOfMemoryError, WorkerDiedError
from pipeline.workers.shard_worker import Setup, Work
from pipeline.workers.watchdog import ImageHangsError

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

_LIVES = 4  # workers that an item of `execute` may take with it


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
    """Actors that each hold the models, as many as the cluster takes now; a `pipeline.stages.shard_scheduler.Crew`.

    They start at the first thing there is to do. Work goes to actors that have started. What was on a node that is
    known to be lost goes to another one, and nobody blames its images.
    """

    def __init__(self, job: Job, allow_code: bool) -> None:
        """A crew for a job; nothing is started yet."""
        self.roster = Roster(job, allow_code)
        self._setup: Setup | None = None
        self._flying: dict[Any, tuple[_Call, Member]] = {}
        self._waiting: deque[_Call] = deque()

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
        self.roster.most = max(self.roster.most, len(items))
        self.roster.start()
        running = 0
        while waiting or running:
            while waiting and running < len(self.roster):
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
        self.roster.most = most
        self.roster.let_go(len(self.roster) - most)
        self.roster.start()
        while not any(self.roster.started):
            self._step()
        self.roster.count()

    def free(self) -> int:
        """How much more work fits: two pieces an actor."""
        return IN_FLIGHT * len(self.roster) - len(self._flying) - len(self._waiting)

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
        self.roster.close()
        self._flying.clear()
        self._waiting.clear()

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

        self.roster.look()
        ready, _ = ray.wait([*self._flying, *self.roster.starting], timeout=LOOK_S)
        if not ready:
            return None
        if ready[0] in self.roster.starting:
            self.roster.welcome(ready[0])
            self._hand_out()
            return None
        return self._take(ready[0])

    def _hand_out(self) -> None:
        """Give waiting calls to actors that have started, the least busy first."""
        while self._waiting:
            call = self._waiting[0]
            able = [member for member in self.roster.started if member.calls < call.most]
            if not able:
                return
            member = min(able, key=lambda member: member.calls)
            self._waiting.popleft()
            member.calls += 1
            if call.function is None:
                reference = member.actor.process.remote(self._setup, call.given)
            else:
                reference = member.actor.run.remote(call.function, call.given)
            self._flying[reference] = (call, member)

    def _take(self, reference: Any) -> tuple[_Call, Any] | None:  # noqa: ANN401 — Ray has no types
        """A call that has ended, with its outcome; None where its node was lost and it waits again."""
        import ray

        call, member = self._flying.pop(reference)
        member.calls -= 1
        outcome: Any
        try:
            outcome = _result(reference)
        except ray.exceptions.OutOfMemoryError as error:  # is no RayActorError
            outcome = OutOfMemoryError(str(error))
            self.roster.dismiss(member)
        except ray.exceptions.RayActorError as error:
            outcome = WorkerDiedError(str(error))
            lost = self.roster.is_lost(member, error)
            self.roster.dismiss(member)
            if lost:
                log.warning("a node was lost with %s in work; another worker does it", call)
                self._waiting.appendleft(call)
                self._hand_out()
                return None
        except ImageHangsError as error:
            outcome = error
            ray.kill(member.actor)
            self.roster.dismiss(member)
        self._hand_out()
        return call, outcome


def _result(reference: Any) -> Any:  # noqa: ANN401
    """A task's result, or the exception that it raised as it was."""
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, Exception) else error) from None
