from .config import Job, load_job, parse_job
from .errors import PipelineError
from .progress import Progress
from .runs import RunPaths, RunSummary, find_run_of_job, read_manifest, summarize_run
from .stages import RunOptions, run_job

__all__ = [
    "Job",
    "PipelineError",
    "Progress",
    "RunOptions",
    "RunPaths",
    "RunSummary",
    "find_run_of_job",
    "load_job",
    "parse_job",
    "read_manifest",
    "run_job",
    "summarize_run",
]
