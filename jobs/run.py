"""Plan, fit, apply and report; run it again and it goes on where it stopped."""

import argparse

from jobs.console import show
from jobs.flags import add_job, how_of, job_of
from pipeline.run import run_job

add = add_job


def main(options: argparse.Namespace) -> int:
    """Run the whole job."""
    job = job_of(options)
    return show(run_job(job, how_of(options)), options.json, job.limits.max_error_rate)
