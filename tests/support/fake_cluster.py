"""A Ray cluster of any size without Ray: its workers answer calls in any order, one whenever the driver waits."""

import random
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from types import SimpleNamespace
from unittest.mock import patch

from pipeline.cluster import RayWorkerPool, actor_pool
from pipeline.config import Job
from pipeline.workers import WorkItem

_CORES_PER_NODE = 16


class FakeCluster:
    """Takes the place of a pool's class of actors and of its queue of what has ended.

    Args:
        answer: the result of a work item, or the exception that its call ends with.
        seed: of the order in which calls end.
    """

    def __init__(self, answer: Callable[[WorkItem], object], seed: int = 0):
        self.answer, self.random = answer, random.Random(seed)
        self.n_actors = 0
        self.running: list[tuple[Future, object]] = []
        self.ended: SimpleQueue[Future] = SimpleQueue()
        self.calls: list[tuple[int, WorkItem]] = []
        """The number of the actor and the work item of every call."""

    def remote(self, *arguments):
        """Start an actor; returns its handle."""
        number = self.n_actors
        self.n_actors += 1

        def process(config, item):
            self.calls.append((number, item))
            return self._start(self.answer(item))

        ready = SimpleNamespace(remote=lambda: self._start(f"node-{number // _CORES_PER_NODE}"))
        return SimpleNamespace(number=number, process=SimpleNamespace(remote=process), ready=ready)

    def _start(self, outcome):
        future = Future()
        self.running.append((future, outcome))
        return SimpleNamespace(future=lambda: future)

    def put(self, future):
        self.ended.put(future)

    def get(self, timeout):
        """Let one of the calls in progress end if the driver would have to wait."""
        if self.ended.empty():
            if not self.running:
                raise Empty
            chosen = self.random.randrange(len(self.running))
            self.running[chosen], self.running[-1] = self.running[-1], self.running[chosen]
            future, outcome = self.running.pop()
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
        return self.ended.get_nowait()


@contextmanager
def fake_ray_pool(job: Job, workers: int, cluster: FakeCluster):
    """Give the pool of a job on a cluster with room for this many workers, all of which have started."""
    cores = [min(_CORES_PER_NODE, workers - first) for first in range(0, workers, _CORES_PER_NODE)]
    nodes = [{"NodeID": f"node-{i}", "Alive": True, "Resources": {"CPU": float(n)}} for i, n in enumerate(cores)]
    pool = RayWorkerPool(job, False)
    pool.actor_pool._actor_class, pool.actor_pool.ended, pool.actor_pool.max_size = cluster, cluster, workers
    with patch.object(actor_pool, "_alive_nodes", lambda: nodes):
        pool.actor_pool.start()
        while pool.actor_pool.pending:
            pool._poll()
        yield pool
