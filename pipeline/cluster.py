"""Cluster: the only module that knows Ray: sessions, statistics tasks, apply's actors."""

import contextlib
import logging
import os
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

T = TypeVar("T")
R = TypeVar("R")

_IN_FLIGHT = 2  # pieces of work an actor has: one computed, one read ahead
_LOOK_S = 1.0  # how often an actor looks whether its image hangs
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
    """Divide the cluster of the session into workers, as the job asks and as far as it goes."""
    import ray

    total = ray.cluster_resources()
    cpus, gpus = total.get("CPU", 1.0), total.get("GPU", 0.0)
    per_gpu = (1.0 if gpus else 0.0) if compute.gpus_per_actor == "auto" else compute.gpus_per_actor
    fitting = int(gpus // per_gpu) if per_gpu else int(cpus // compute.threads)
    count = max(1, fitting) if compute.actors == "auto" else compute.actors
    return Slots(count, min(float(compute.threads), cpus / count), per_gpu)


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
            flying |= {remote.remote(item): item for item in islice(waiting, 1)}

    return execute


class RayCrew:
    """Actors that each hold the models; a `pipeline.apply.Crew`.

    A dead actor is replaced by a new one, which waits for resources and models like the first ones; Ray's own restarts
    would answer calls with errors meanwhile, and those could not be told from another death.
    """

    def __init__(self, setup: Setup, compute: Compute, most: int) -> None:
        """Start as many actors as the cluster takes, `most` at the most, and wait for the first to be ready.

        Raises:
            PipelineError: the models cannot be loaded on the workers.
        """
        import ray

        each = slots(compute)
        remote = ray.remote(max_restarts=0, max_task_retries=0, max_concurrency=_IN_FLIGHT)(_Actor)
        self._remote, self._setup = remote.options(num_cpus=each.cpus, num_gpus=each.gpus), setup
        self._actors = [self._remote.remote(setup) for _ in range(max(1, min(each.count, most)))]
        self._flying: dict[Any, tuple[Work, Any]] = {}
        first, _ = ray.wait([actor.ready.remote() for actor in self._actors])
        _started(first)

    def free(self) -> int:
        """How much more work fits: two pieces an actor."""
        return _IN_FLIGHT * len(self._actors) - len(self._flying)

    def submit(self, work: Work, *, alone: bool = False) -> None:
        """Hand work to the actor that has the least; work that goes alone waits for a worker that has started.

        Raises:
            PipelineError: no worker can be started for work that goes alone.
        """
        busy = [actor for _, actor in self._flying.values()]
        actor = min(self._actors, key=busy.count)
        if alone:
            if busy:
                raise RuntimeError("work that goes alone was submitted beside other work")
            _started([actor.ready.remote()])
        self._flying[actor.process.remote(work)] = (work, actor)

    def wait(self) -> tuple[Work, Part | WorkerDiedError | ImageHangsError]:
        """The next finished work."""
        import ray

        (ready,), _ = ray.wait(list(self._flying))
        work, actor = self._flying.pop(ready)
        try:
            part: Part = _result(ready)
        except ray.exceptions.RayActorError as error:
            self._replace(actor)
            return work, WorkerDiedError(str(error))
        except ImageHangsError as error:
            ray.kill(actor)
            self._replace(actor)
            return work, error
        return work, part

    def _replace(self, actor: Any) -> None:  # noqa: ANN401 — Ray has no types
        if actor in self._actors:
            self._actors[self._actors.index(actor)] = self._remote.remote(self._setup)

    def close(self) -> None:
        """Let the actors go."""
        import ray

        for actor in self._actors:
            ray.kill(actor)


def _started(ready: Sequence[Any]) -> None:
    """Wait for an actor's `ready`.

    Raises:
        PipelineError: it could not start.
    """
    import ray

    try:
        ray.get(list(ready))
    except ray.exceptions.RayError as error:
        raise PipelineError(f"no worker could start: {' '.join(str(error).split())[-500:]}") from error


class _Actor:
    """The Ray side of a ShardWorker."""

    def __init__(self, setup: Setup) -> None:
        self._worker = ShardWorker(setup)
        self._image_s = setup.job.limits.image_s
        self._calls = ThreadPoolExecutor(_IN_FLIGHT, "work")

    def ready(self) -> bool:
        return True

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
