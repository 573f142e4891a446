"""Plan, fit, apply and report; run it again and it goes on where it stopped."""

import argparse

from jobs.finish import carry_out
from jobs.flags import add_job
from pipeline.stages.driver import run_job


def add(parser: argparse.ArgumentParser) -> None:
    """The job, and what only a whole run can do."""
    add_job(parser)
    parser.add_argument("--redo", action="store_true", help="do again, with the latest map, what earlier ones did")
    parser.add_argument(
        "--retry", action="store_true", help="do again the shards of images that failed in a way that may pass"
    )


def main(options: argparse.Namespace) -> int:
    """Run the whole job."""
    return carry_out(options, run_job)
