"""Write the report page of a run from what is committed so far."""

import argparse

from jobs.console import print_line
from jobs.flags import add_run_argument, run_from_args
from pipeline import reporting

add_arguments = add_run_argument


def main(args: argparse.Namespace) -> int:
    """Write the report and print its URI."""
    print_line(reporting.write_report(run_from_args(args)))
    return 0
