"""A whole run in this process: Ray's part is done by plain calls, everything else is the real thing."""

from contextlib import nullcontext

import pytest

from pipeline import cluster
from pipeline.run import How, run_job
from pipeline.shard import ShardWorker

HOW = How(allow_code=True)


class QueueCrew:
    """A crew whose work waits until it is waited for; `wait` is for others to say."""

    def __init__(self):
        self.queue = []

    def free(self):
        return 2 - len(self.queue)

    def submit(self, work, *, alone=False):
        self.queue.append(work)


class InlineCrew(QueueCrew):
    """One worker that does its work when it is waited for."""

    def __init__(self, setup, _compute, _most):
        super().__init__()
        self.worker = ShardWorker(setup)

    def wait(self):
        work = self.queue.pop(0)
        return work, self.worker.process(work)

    def close(self):
        self.worker = None


def run_inline(job):
    """`run_job` without Ray."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "session", lambda _: nullcontext())
        patch.setattr(cluster, "run_tasks", lambda *_: lambda function, items: [function(item) for item in items])
        patch.setattr(cluster, "RayCrew", InlineCrew)
        return run_job(job, HOW)
