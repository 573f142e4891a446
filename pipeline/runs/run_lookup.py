"""The run of a job, found by the settings in run.json."""

import json

from pydantic import ValidationError

from pipeline.config import Job
from pipeline.errors import RunError
from pipeline.runs.paths import CALIBRATIONS_FOLDER, RUNS_FOLDER, RunPaths
from pipeline.storage import join_uri, list_names, read


def find_run_of_job(job: Job) -> RunPaths:
    """Return the latest run that was started with the settings of a job; no model is loaded.

    Raises:
        RunError: the job has not been run yet.
    """
    folder = job.run or join_uri(job.output_root, RUNS_FOLDER)
    wanted = job.run_fingerprint({})
    found: list[tuple[str, str]] = []
    for name in list_names(folder) - {CALIBRATIONS_FOLDER}:
        run = RunPaths(join_uri(folder, name))
        try:
            stored = json.loads(read(run.run_json))
            fingerprint = Job.model_validate(stored["job"]).run_fingerprint({})
        except (FileNotFoundError, ValueError, ValidationError, KeyError, TypeError):
            continue  # another folder, or a run of another version of deepot
        if fingerprint == wanted:
            found.append((stored.get("started", ""), run.uri))
    if not found:
        raise RunError(f"the job has no run in {folder} yet: start it with 'deepot run', or name the folder of a run")
    return RunPaths(max(found)[1])
