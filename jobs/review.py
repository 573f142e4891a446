"""Write a page to accept or reject a sample of a run's photos, or state what saved decisions show."""

import argparse
import shlex

from jobs.console import print_json, print_line
from jobs.flags import (
    JOB_SUFFIXES,
    add_json_flag,
    add_page_flag,
    add_photo_count_flag,
    add_run_argument,
    run_from_args,
)
from pipeline import review, runs, storage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run, the number of photos, the page and the decisions."""
    add_run_argument(parser)
    add_photo_count_flag(parser, review.DEFAULT_REVIEW_PHOTOS)
    add_page_flag(parser, "deepot-review.html", "--output")
    parser.add_argument(
        "--decisions",
        metavar="FILE.json",
        help="write no page, but state how many photos of the run would be rejected at most, by these decisions",
    )
    add_json_flag(parser)


def main(args: argparse.Namespace) -> int:
    """Write the page and print where it is, or print what the decisions show."""
    run = run_from_args(args)
    return _write_page(args, run) if args.decisions is None else _print_statement(args, run)


def _write_page(args: argparse.Namespace, run: "runs.RunPaths") -> int:
    job = args.run if args.run.lower().endswith(JOB_SUFFIXES) else "JOB.yaml"
    command = shlex.join(["deepot", "run", job, "--decisions", "decisions.json"])
    written = review.write_review_page(run, storage.absolute_uri(args.page), command, args.photos)
    for name in written.unusable:
        print_line(f"left out {name}: it cannot be read, or is not the result of the run any more")
    found = written.review
    n_photos = sum(stratum.photos for stratum in found.strata)
    print_line(f"photos   {len(found.photos)} of {n_photos} whose results differ from their inputs")
    for line in _describe_earlier_reviews(found):
        print_line(line)
    print_line(f"page     {written.uri}")
    print_line(f"next     decide, save the decisions, and run {command}")
    if args.json:
        print_json(run=run.uri, page=written.uri, photos=len(found.photos), unusable=list(written.unusable))
    return 0


def _print_statement(args: argparse.Namespace, run: "runs.RunPaths") -> int:
    found = review.read_review(args.decisions, run)
    review.match_decisions(run, found)
    counts = review.count_review(found)
    undecided = f"{counts.undecided} undecided, which count as not reviewed"
    print_line(f"run      {run.uri}")
    print_line(f"photos   {len(found.photos)}: {counts.accepted} accepted, {counts.rejected} rejected, {undecided}")
    for line in [*_describe_earlier_reviews(found), *review.describe_strata(found, counts)]:
        print_line(line)
    print_line(f"rejects  {review.describe_review(counts)}")
    if args.json:
        print_json(
            run=run.uri,
            accepted=counts.accepted,
            rejected=counts.rejected,
            undecided=counts.undecided,
            changed_photos=counts.photos,
            rejects_at_most=counts.rejects_at_most,
            confidence=review.CONFIDENCE,
        )
    return 0


def _describe_earlier_reviews(found: "review.Review") -> list[str]:
    """Return a line about what earlier reviews of the run have decided; none without any."""
    accepted, rejected = found.accepted_before, found.rejected_before
    return [f"earlier  {accepted} accepted, {rejected} rejected"] if accepted or rejected else []
