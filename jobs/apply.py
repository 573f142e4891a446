"""Plan new photos and process them with an existing map."""

import argparse
from dataclasses import replace

from jobs.execution import execute_job
from jobs.flags import add_job_arguments
from pipeline.config import Job
from pipeline.runs import RunSummary
from pipeline.stages import RunOptions, apply_job, open_run, plan_job

add_arguments = add_job_arguments


def main(args: argparse.Namespace) -> int:
    """Plan new photos, apply the map to everything that is not committed, and return the exit status."""
    return execute_job(args, _plan_and_apply)


def _plan_and_apply(job: Job, options: RunOptions) -> RunSummary:
    context = open_run(job, options)
    passed_over = plan_job(context).passed_over
    return replace(apply_job(context), passed_over=passed_over)
