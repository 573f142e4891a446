"""Plan, fit, apply and report; run it again and it goes on where it stopped."""

import argparse

from jobs.finish import carry_out
from jobs.flags import add_job
from pipeline.run import run_job

add = add_job


def main(options: argparse.Namespace) -> int:
    """Run the whole job."""
    return carry_out(options, run_job)
