"""Write the report page of a run again."""

import argparse

from pipeline.reporting import write_report
from pipeline.runs import RunPaths
from pipeline.storage import absolute_uri


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run's folder."""
    parser.add_argument("run", metavar="RUN", help="folder of the run, the one with run.json")


def main(args: argparse.Namespace) -> int:
    """Write the report and say where."""
    print(write_report(RunPaths(absolute_uri(args.run).rstrip("/"))))
    return 0
