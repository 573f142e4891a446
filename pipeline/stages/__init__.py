"""The order of the stages, the shard scheduler and resuming."""

from pipeline.stages.driver import (
    FitResult,
    apply_job,
    calibrate_job,
    fit_job,
    list_calibration_tasks,
    load_or_fit_map,
    plan_job,
    run_job,
)
from pipeline.stages.job_context import JobContext, RunOptions, open_run
from pipeline.stages.preparation import prepare_run
from pipeline.stages.session import worker_session
from pipeline.stages.shard_scheduler import ShardScheduler
from pipeline.stages.shared_storage import sample_local_files

__all__ = [
    "FitResult",
    "JobContext",
    "RunOptions",
    "ShardScheduler",
    "apply_job",
    "calibrate_job",
    "fit_job",
    "list_calibration_tasks",
    "load_or_fit_map",
    "open_run",
    "plan_job",
    "prepare_run",
    "run_job",
    "sample_local_files",
    "worker_session",
]
