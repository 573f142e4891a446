"""Stages run in this process: plain calls take the place of worker processes, everything else is real."""

from contextlib import contextmanager
from contextvars import ContextVar

import pytest

from pipeline import cluster, local
from pipeline.reporting import report
from pipeline.runs import RunPaths, read_manifest
from pipeline.stages import RunOptions, run_job
from pipeline.stages import session as job_session
from pipeline.workers.resources import WorkerResources
from pipeline.workers.shard_worker import ShardWorker

OPTIONS = RunOptions(allow_code=True)


class QueueWorkerPool:
    """A pool that queues its work items; what `wait` does is for subclasses to define."""

    def __init__(self):
        self.queue = []

    def free_slots(self):
        return 2 - len(self.queue)

    def submit(self, item, *, exclusive=False):
        self.queue.append(item)


class InProcessWorkerPool(QueueWorkerPool):
    """A pool of one worker, which processes a work item when it is waited for."""

    resources = WorkerResources(1, 1.0, 0.0)

    def configure(self, config, max_workers):
        self.worker = ShardWorker(config)

    def wait(self):
        item = self.queue.pop(0)
        return item, self.worker.process(item)

    def map_unordered(self, function, items, on_worker_death=None):
        return map(function, items)


class InProcessSession:
    """Gives each stage a new pool of a class."""

    def __init__(self, pool_class):
        self._pool_class = pool_class

    @contextmanager
    def worker_pool(self, _job, _allow_code, _n_photos):
        yield self._pool_class()


@contextmanager
def without_ray(pool_class=InProcessWorkerPool):
    """Replace sessions with worker processes by sessions in this process."""

    @contextmanager
    def session(_address=None, _metrics_port=None, **_):
        yield InProcessSession(pool_class)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "ray_session", session)
        patch.setattr(local, "local_session", session)
        # a second driver in this process has a session of its own
        patch.setattr(job_session, "_current", ContextVar("worker_session", default=None))
        yield


def run_and_read_rows(job):
    """Run a job in this process; returns its run and its rows by file name, all of which must be ok."""
    run = RunPaths(run_in_process(job).run)
    rows = {row["file_name"]: row for row in read_manifest(run).to_pylist()}
    assert all(row["status"] == "ok" for row in rows.values())
    return run, rows


def run_in_process(job, options=OPTIONS):
    """Run all stages of a job in this process, and without the plots of its report, which take a third of the time.

    The plots are drawn in the tests of the report, of the demo and of jobs on Ray.
    """
    with without_ray(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "plot_patch_nll", lambda *_: "")
        patch.setattr(report, "plot_error_curve", lambda *_: "")
        return run_job(job, options)
