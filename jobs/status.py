"""How far a run is, from its commits."""

import argparse

from jobs.console import show_codes, show_json
from jobs.flags import add_output
from pipeline.layout import Run
from pipeline.storage import absolute
from pipeline.totals import totals


def add(parser: argparse.ArgumentParser) -> None:
    """The run's folder."""
    parser.add_argument("run", metavar="RUN", help="folder of the run, the one with run.json")
    add_output(parser)


def main(options: argparse.Namespace) -> int:
    """Print the totals of a run."""
    result = totals(Run(absolute(options.run).rstrip("/")))
    done = result.ok + result.skipped + result.failed
    print(f"run      {result.run}")
    print(f"done     {done} of {result.inputs}: {result.ok} ok, {result.skipped} skipped, {result.failed} failed")
    show_codes(result)
    print("complete" if result.complete else "not complete: the same 'deepot run' goes on with it")
    if options.json:
        show_json(**result.counts, complete=result.complete)
    return 0
