"""A whole run in this process: Ray's part is done by plain calls, everything else is the real thing."""

from contextlib import contextmanager

import pytest

from pipeline import cluster
from pipeline.stages.driver import RunOptions, run_job
from pipeline.workers.shard_worker import ShardWorker

OPTIONS = RunOptions(allow_code=True)


class QueueWorkerPool:
    """A crew whose work waits until it is waited for; `wait` is for others to say."""

    def __init__(self):
        self.queue = []

    def free_slots(self):
        return 2 - len(self.queue)

    def submit(self, item, *, exclusive=False):
        self.queue.append(item)


class InProcessWorkerPool(QueueWorkerPool):
    """One worker that does its work when it is waited for."""

    def configure(self, config, _max_workers):
        self.worker = ShardWorker(config)

    def wait(self):
        item = self.queue.pop(0)
        return item, self.worker.process(item)

    def map_unordered(self, function, items, _on_worker_death=None, **_):
        return map(function, items)


class InProcessSession:
    """Has a crew of a class, a new one for each stage."""

    def __init__(self, pool_class):
        self._pool_class = pool_class

    @contextmanager
    def worker_pool(self, _job, _allow_code):
        yield self._pool_class()


@contextmanager
def without_ray(pool_class=InProcessWorkerPool):
    """What asks for a session of Ray gets a crew in this process."""

    @contextmanager
    def session(*_):
        yield InProcessSession(pool_class)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "ray_session", session)
        yield


def run_in_process(job, options=OPTIONS):
    """`run_job` without Ray."""
    with without_ray():
        return run_job(job, options)
