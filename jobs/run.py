"""Plan, fit, apply and report; run it again and it goes on where it stopped."""

import argparse

from jobs.finish import execute_job
from jobs.flags import add_job_arguments
from pipeline.stages import run_job


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The job, and what only a whole run can do."""
    add_job_arguments(parser)
    parser.add_argument(
        "--reapply-latest-map", action="store_true", help="do again, with the latest map, what earlier ones did"
    )
    parser.add_argument(
        "--retry-failed", action="store_true", help="do again the shards of images that failed in a way that may pass"
    )


def main(args: argparse.Namespace) -> int:
    """Run the whole job."""
    return execute_job(args, run_job)
