"""Transport the planned images with a map that exists."""

import argparse

from jobs.finish import carry_out
from jobs.flags import add_job
from pipeline.config.job import Job
from pipeline.runs.summary import Result
from pipeline.stages.driver import How, apply_job, open_run, plan_job

add = add_job


def main(options: argparse.Namespace) -> int:
    """Plan what is new and apply the map to what is not done."""
    return carry_out(options, _apply)


def _apply(job: Job, how: How) -> Result:
    opened = open_run(job, how)
    plan_job(opened)
    return apply_job(opened)
