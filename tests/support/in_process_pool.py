"""A whole run in this process: Ray's part is done by plain calls, everything else is the real thing."""

from contextlib import contextmanager

import pytest

from pipeline.cluster import session as cluster
from pipeline.stages.driver import How, run_job
from pipeline.workers.shard_worker import ShardWorker

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

    def equip(self, setup, _most):
        self.worker = ShardWorker(setup)

    def wait(self):
        work = self.queue.pop(0)
        return work, self.worker.process(work)

    def execute(self, function, items, _died=None, **_):
        return map(function, items)


class InlineSession:
    """Has a crew of a class, a new one for each stage."""

    def __init__(self, crew):
        self._crew = crew

    @contextmanager
    def crew(self, _job, _allow_code):
        yield self._crew()


@contextmanager
def no_ray(crew=InlineCrew):
    """What asks for a session of Ray gets a crew in this process."""

    @contextmanager
    def session(*_):
        yield InlineSession(crew)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "session", session)
        yield


def run_inline(job, how=HOW):
    """`run_job` without Ray."""
    with no_ray():
        return run_job(job, how)
