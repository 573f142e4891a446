"""Read every result again and compare it with its manifest row; --repair puts back what is missing or differs."""

import argparse

from jobs.console import progress, show_json
from jobs.flags import add_output
from pipeline.maintenance.verify import Verified, verify
from pipeline.runs.paths import Run
from pipeline.runs.requeue import repair
from pipeline.storage.objects import absolute


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
    """Verify a run; 1 where something is missing or differs and was not requeued, or where storage does not give it."""
    run = Run(absolute(options.run).rstrip("/"))
    found = verify(run, progress())
    told = _shown(run, found)
    if options.repair:
        requeued = repair(run, found.findings)
        print(f"{requeued.shards} shards of {requeued.images} images put back: the next 'deepot run' does them again")
        told |= {"requeued_shards": requeued.shards, "requeued_images": requeued.images}
    if options.json:
        show_json(**told)
    return int(found.unreadable > 0 or (found.wrong > 0 and not options.repair))


def _shown(run: Run, found: Verified) -> dict[str, object]:
    """Print what was found; returns what a scheduler is told of it."""
    for finding in found.findings:
        print(f"{finding.uri}: {finding.problem}")
    print(
        f"{found.results} results checked, {found.wrong} missing or different, {found.unreadable} unreadable, "
        f"{found.retriable} failures that may pass"
    )
    if found.uncommitted:
        print(
            f"{found.uncommitted} of {found.planned} planned images have no commit: "
            "the run is not finished, 'deepot run' does them"
        )
    return {
        "run": run.uri,
        "planned": found.planned,
        "uncommitted": found.uncommitted,
        "checked": found.results,
        "findings": found.wrong,
        "unreadable": found.unreadable,
        "retriable": found.retriable,
    }
