"""Transport the planned images with a map that exists."""

import argparse

from jobs.console import show
from jobs.flags import add_job, how_of, job_of
from pipeline.run import apply_job, open_run, plan_job

add = add_job


def main(options: argparse.Namespace) -> int:
    """Plan what is new and apply the map to what is not done."""
    job = job_of(options)
    opened = open_run(job, how_of(options))
    plan_job(opened)
    return show(apply_job(opened), options.json, job.limits.max_error_rate)
