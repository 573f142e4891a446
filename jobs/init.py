"""Examine photos and write a job file for them."""

import argparse
from pathlib import Path

from jobs.console import make_progress, print_json, print_line
from jobs.flags import add_json_flag, file_with_suffix
from pipeline import inspection


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the photos and the job file."""
    parser.add_argument("input", metavar="PHOTOS", help="the photos: a folder, URI or whatever else input may be")
    parser.add_argument(
        "--job",
        type=file_with_suffix(".yaml"),
        metavar="FILE.yaml",
        help="job file to write (default: named after the photos, in the current folder)",
    )
    parser.add_argument("--overwrite", action="store_true", help="overwrite the job file if there is one")
    add_json_flag(parser)


def main(args: argparse.Namespace) -> int:
    """Examine a sample of the photos, write the job file and print what was found and what to do next."""
    path = None if args.job is None else Path(args.job)
    draft = inspection.draft_job(args.input, path, make_progress(), overwrite=args.overwrite)
    inspection.write_draft(draft, overwrite=args.overwrite)
    for label, text in inspection.describe_inspection(draft.found):
        print_line(f"{label:8} {text}")
    print_line(f"job      {draft.path}")
    print_line(f"next     check its comments, then run: deepot preview {draft.path}")
    if args.json:
        print_json(**draft.json_fields)
    return 0
