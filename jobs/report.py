"""Write the report page of a run from what is committed so far."""

import argparse

from jobs.console import print_line
from jobs.flags import add_photo_count_flag, add_run_argument, run_from_args
from pipeline import reporting


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folder of the run and the number of photos."""
    add_run_argument(parser)
    add_photo_count_flag(parser, reporting.DEFAULT_REPORT_PHOTOS)


def main(args: argparse.Namespace) -> int:
    """Write the report and print its URI."""
    print_line(reporting.write_report(run_from_args(args), args.photos))
    return 0
