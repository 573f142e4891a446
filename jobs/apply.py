"""Plan new photos and process them with an existing map."""

import argparse
from dataclasses import replace

from jobs.execution import execute_job
from jobs.flags import add_job_arguments
from pipeline import config, runs, stages

add_arguments = add_job_arguments


def main(args: argparse.Namespace) -> int:
    """Plan new photos, apply the map to everything that is not committed, and return the exit status."""
    return execute_job(args, _plan_and_apply)


def _plan_and_apply(job: "config.Job", options: "stages.RunOptions") -> "runs.RunSummary":
    with stages.worker_session(job, options):  # workers are forked before models are loaded
        context = stages.open_run(job, options)
        passed_over = stages.plan_job(context).passed_over
        return replace(stages.apply_job(context), passed_over=passed_over)
