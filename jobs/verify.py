"""Read every result again and compare it with its manifest row."""

import argparse

from jobs.console import Bars, show_json
from jobs.flags import add_output
from pipeline.layout import Run
from pipeline.storage import absolute
from pipeline.totals import totals
from pipeline.verify import verify


def add(parser: argparse.ArgumentParser) -> None:
    """The run's folder."""
    parser.add_argument("run", metavar="RUN", help="folder of the run, the one with run.json")
    add_output(parser)


def main(options: argparse.Namespace) -> int:
    """Verify a run; 1 where an object is missing or differs."""
    run = Run(absolute(options.run).rstrip("/"))
    result = totals(run)
    total = result.ok + result.skipped + result.failed
    findings = 0
    for finding in verify(run, total, Bars()):
        findings += 1
        print(f"{finding.uri}: {finding.problem}")
    print(f"{result.ok} results checked, {findings} missing or different")
    if options.json:
        show_json(run=result.run, checked=result.ok, findings=findings)
    return int(findings > 0)
