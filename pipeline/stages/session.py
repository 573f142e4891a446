"""Where the stages get their workers: the one place that chooses Ray."""

from contextlib import AbstractContextManager

from pipeline import cluster
from pipeline.stages.job_context import RunOptions
from pipeline.workers import WorkerSession


def worker_session(options: RunOptions) -> AbstractContextManager[WorkerSession]:
    """Return a context with the workers of a command; within another such context it is that one.

    Raises:
        PipelineError: Ray cannot start on this machine, or the cluster cannot be joined.
    """
    return cluster.ray_session(options.address, options.metrics_port)
