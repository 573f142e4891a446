"""Write the report page of a run again."""

import argparse

from pipeline.reporting.report import write_report
from pipeline.runs.paths import Run
from pipeline.storage.objects import absolute


def add(parser: argparse.ArgumentParser) -> None:
    """The run's folder."""
    parser.add_argument("run", metavar="RUN", help="folder of the run, the one with run.json")


def main(options: argparse.Namespace) -> int:
    """Write the report and say where."""
    print(write_report(Run(absolute(options.run).rstrip("/"))))
    return 0
