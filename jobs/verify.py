"""Read every result again and compare it with its manifest row; --requeue puts back what is missing or differs."""

import argparse

from jobs.console import make_progress, print_json
from jobs.flags import add_json_flag
from pipeline.maintenance import VerificationReport, verify_run
from pipeline.runs import RunPaths, requeue_shards
from pipeline.storage import absolute_uri


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run's folder, and whether to mend it."""
    parser.add_argument("run", metavar="RUN", help="folder of the run, the one with run.json")
    parser.add_argument(
        "--requeue",
        action="store_true",
        help="take back the commits of shards with missing or different results, or failures that may pass; "
        "the next 'deepot run' does them again",
    )
    add_json_flag(parser)


def main(args: argparse.Namespace) -> int:
    """Verify a run; 1 where something is missing or differs and was not requeued, or where storage does not give it."""
    run = RunPaths(absolute_uri(args.run).rstrip("/"))
    report = verify_run(run, make_progress())
    record = _print_report(run, report)
    if args.requeue:
        requeued = requeue_shards(run, report.findings)
        print(f"{requeued.shards} shards of {requeued.images} images put back: the next 'deepot run' does them again")
        record |= {"requeued_shards": requeued.shards, "requeued_images": requeued.images}
    if args.json:
        print_json(**record)
    return int(report.n_unreadable > 0 or (report.n_corrupt > 0 and not args.requeue))


def _print_report(run: RunPaths, report: VerificationReport) -> dict[str, object]:
    """Print what was found; returns what a scheduler is told of it."""
    for finding in report.findings:
        print(f"{finding.uri}: {finding.problem}")
    print(
        f"{report.n_checked} results checked, {report.n_corrupt} missing or different, {report.n_unreadable} unreadable, "
        f"{report.n_retriable} failures that may pass"
    )
    if report.n_uncommitted:
        print(
            f"{report.n_uncommitted} of {report.n_planned} planned images have no commit: "
            "the run is not finished, 'deepot run' does them"
        )
    return {
        "run": run.uri,
        "planned": report.n_planned,
        "uncommitted": report.n_uncommitted,
        "checked": report.n_checked,
        "findings": report.n_corrupt,
        "unreadable": report.n_unreadable,
        "retriable": report.n_retriable,
    }
