"""Read every result again and compare it with its manifest row; --repair puts back what is missing or differs."""

import argparse

from jobs.console import progress, show_json
from jobs.flags import add_output
from pipeline.layout import Run
from pipeline.storage import absolute
from pipeline.verify import repair, verify


def add(parser: argparse.ArgumentParser) -> None:
    """The run's folder, and whether to mend it."""
    parser.add_argument("run", metavar="RUN", help="folder of the run, the one with run.json")
    parser.add_argument(
        "--repair",
        action="store_true",
        help="take back the commits of shards with missing or different results, or failures that may pass; "
        "the next 'deepot run' does them again",
    )
    add_output(parser)


def main(options: argparse.Namespace) -> int:
    """Verify a run; 1 where an object is missing or differs and was not requeued."""
    run = Run(absolute(options.run).rstrip("/"))
    found = verify(run, progress())
    for finding in found.findings:
        print(f"{finding.uri}: {finding.problem}")
    print(
        f"{found.results} results checked, {found.wrong} missing or different, {found.retriable} failures that may pass"
    )
    told = {"run": run.uri, "checked": found.results, "findings": found.wrong, "retriable": found.retriable}
    if options.repair:
        requeued = repair(run, found.findings)
        print(f"{requeued.shards} shards of {requeued.images} images put back: the next 'deepot run' does them again")
        told |= {"requeued_shards": requeued.shards, "requeued_images": requeued.images}
    if options.json:
        show_json(**told)
    return int(found.wrong > 0 and not options.repair)
