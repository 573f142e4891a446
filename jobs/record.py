"""Write a preservation event for every photo of a run, as PREMIS or as lines of JSON."""

import argparse

from jobs.console import count_of, make_progress, print_json, print_line
from jobs.flags import add_json_flag, add_run_argument, run_from_args
from pipeline import provenance

_FORMATS = ("premis", "jsonl")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run, the format and the folder."""
    add_run_argument(parser)
    parser.add_argument(
        "--format",
        choices=_FORMATS,
        default="premis",
        help="premis: PREMIS 3.0 in XML; jsonl: the same as one JSON object a line (default: premis)",
    )
    parser.add_argument(
        "--out", metavar="URI", help="folder of the files, one for each shard (default: record in the run's folder)"
    )
    add_json_flag(parser)


def main(args: argparse.Namespace) -> int:
    """Write the events of what is committed, and print how many there are."""
    run = run_from_args(args)
    done = provenance.write_record(run, provenance.RecordFormat(args.format), args.out, make_progress())
    print_line(f"events   {done.succeeded + done.failed}: {done.succeeded} with a result, {done.failed} without")
    print_line(f"record   {count_of(done.written, 'file')} written, {done.unchanged} unchanged in {done.uri}")
    if args.json:
        print_json(
            run=run.uri,
            record=done.uri,
            written=done.written,
            unchanged=done.unchanged,
            succeeded=done.succeeded,
            failed=done.failed,
        )
    return 0
