"""Check every result of a run against its manifest row; with --requeue, queue missing or corrupt ones again."""

import argparse

from jobs.console import make_progress, print_json, print_line
from jobs.flags import add_json_flag, add_run_argument, run_from_args
from pipeline import maintenance, runs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run, --requeue and --consistency."""
    add_run_argument(parser)
    parser.add_argument(
        "--requeue",
        action="store_true",
        help="revoke the commits of shards with missing or corrupt results, or with failures that may be temporary; "
        "the next 'deepot run' processes them again",
    )
    parser.add_argument(
        "--consistency",
        action="store_true",
        help="check instead that no result contradicts the coefficients of the JPEG file that it was made from",
    )
    add_json_flag(parser)


def main(args: argparse.Namespace) -> int:
    """Verify a run; return 1 if a result cannot be read, or is missing or corrupt and was not requeued."""
    run = run_from_args(args)
    if args.consistency:
        return _verify_consistency(run, json=args.json)
    report = maintenance.verify_run(run, make_progress())
    record = _print_report(run, report)
    if args.requeue:
        requeued = runs.requeue_shards(run, report.findings)
        print_line(f"requeued {requeued.shards} shards of {requeued.images} photos: 'deepot run' processes them again")
        record |= {"requeued_shards": requeued.shards, "requeued_images": requeued.images}
    if args.json:
        print_json(**record)
    return int(report.n_unreadable > 0 or (report.n_corrupt > 0 and not args.requeue))


def _verify_consistency(run: "runs.RunPaths", *, json: bool) -> int:
    """Compare results with the coefficients of their inputs; return 1 if one contradicts them."""
    report = maintenance.verify_consistency(run, make_progress())
    for finding in report.findings:
        print_line(f"{finding.uri}: {finding.problem}")
    print_line(
        f"checked  {report.n_checked} results of JPEG files: {len(report.findings)} contradict them or cannot be "
        f"compared; {report.n_unchecked} others have a constraint that files alone do not show, or none"
    )
    if json:
        print_json(run=run.uri, checked=report.n_checked, unchecked=report.n_unchecked, findings=len(report.findings))
    return int(bool(report.findings))


def _print_report(run: "runs.RunPaths", report: "maintenance.VerificationReport") -> dict[str, object]:
    """Print the findings and return the values for the line of JSON."""
    for finding in report.findings:
        print_line(f"{finding.uri}: {finding.problem}")
    print_line(
        f"checked  {report.n_checked} results: {report.n_corrupt} missing or corrupt, "
        f"{report.n_unreadable} unreadable; {report.n_retriable} failures may be temporary"
    )
    if report.n_uncommitted:
        print_line(
            f"pending  {report.n_uncommitted} of {report.n_planned} planned photos have no commit: "
            "run 'deepot run' to process them"
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
