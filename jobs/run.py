"""Plan, fit, apply and report; run it again to resume."""

import argparse

from jobs.execution import execute_job
from jobs.flags import add_job_arguments
from pipeline import stages


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the job and the options that only a full run has."""
    add_job_arguments(parser)
    parser.add_argument(
        "--reapply-latest-map",
        action="store_true",
        help="process again, with the latest map, the photos that an earlier map was applied to",
    )
    parser.add_argument(
        "--retry-failed",
        action="store_true",
        help="process again the shards that contain failures which may be temporary",
    )
    parser.add_argument(
        "--decisions",
        metavar="FILE.json",
        help="obey the decisions of a review from now on: rejected photos get the bytes of their originals",
    )


def main(args: argparse.Namespace) -> int:
    """Run all stages of a job and return the exit status."""
    return execute_job(args, stages.run_job)
