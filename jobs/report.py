"""Write the report page of a run from what is committed so far."""

import argparse

from jobs.console import print_line
from jobs.flags import add_run_argument, run_from_args, whole_number
from pipeline import reporting

_MAX_PHOTOS = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folder of the run and the number of photos."""
    add_run_argument(parser)
    parser.add_argument(
        "--photos",
        type=whole_number(1, _MAX_PHOTOS),
        default=reporting.DEFAULT_REPORT_PHOTOS,
        metavar="NUMBER",
        help="number of photos that the page shows (default: %(default)s, about 0.4 MB each)",
    )


def main(args: argparse.Namespace) -> int:
    """Write the report and print its URI."""
    print_line(reporting.write_report(run_from_args(args), args.photos))
    return 0
