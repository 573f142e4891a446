from .driver import apply_job, plan_job, run_job
from .fitting import FitResult, calibrate_job, fit_job, list_calibration_tasks, load_or_fit_map
from .job_context import JobContext, RunOptions, open_run
from .preparation import prepare_run
from .session import worker_session
from .shard_scheduler import ShardScheduler
from .shared_storage import sample_local_files

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
