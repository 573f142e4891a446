"""Select photos of a run with an SQL expression over the manifest, and export them."""

import argparse

from jobs.console import make_progress, print_json, print_line
from jobs.flags import add_json_flag, add_run_argument, run_from_args, whole_number
from pipeline import curation

_MAX_SHOWN, _MAX_SKIPPED_SHOWN = 20, 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run, the selection and where to export it."""
    add_run_argument(parser)
    parser.add_argument(
        "--where",
        default="true",
        metavar="SQL",
        help="condition over the columns of the manifest, e.g. \"status = 'ok' AND noise < 3\"",
    )
    parser.add_argument(
        "--order",
        default="file_name",
        metavar="SQL",
        help='what to sort by, e.g. "sharpness DESC" (default: file_name)',
    )
    parser.add_argument(
        "--map", default="", metavar="SHA256", help="only results of this map; the first digits are enough"
    )
    parser.add_argument("--limit", type=whole_number(1), metavar="NUMBER", help="select at most this many photos")
    parser.add_argument(
        "--to",
        metavar="TARGET",
        help="export as a list (NAME.txt), as Parquet (NAME.parquet) or as tar shards for WebDataset (FOLDER/)",
    )
    parser.add_argument(
        "--photos",
        choices=curation.PHOTO_KINDS,
        default="output",
        help="which photos lists and tar shards contain (default: output)",
    )
    add_json_flag(parser)


def main(args: argparse.Namespace) -> int:
    """Export the selected photos, or print the first of them; return 1 if a photo could not be exported."""
    rows = curation.select_rows(run_from_args(args), args.where, args.order, args.limit, args.map)
    print_line(f"selected {len(rows)} photos")
    if args.to is None:
        for name in rows["file_name"][:_MAX_SHOWN].to_pylist():
            print_line(f"         {name}")
        if len(rows) > _MAX_SHOWN:
            print_line(f"         … {len(rows) - _MAX_SHOWN} more; --to writes all of them")
        if args.json:
            print_json(selected=len(rows))
        return 0
    exported = curation.export_photos(rows, args.to, args.photos, make_progress())
    print_line(f"written  {exported.photos} to {exported.uri}")
    for name, reason in exported.skipped[:_MAX_SKIPPED_SHOWN]:
        print_line(f"skipped  {name}: {reason}")
    if len(exported.skipped) > _MAX_SKIPPED_SHOWN:
        print_line(f"skipped  … {len(exported.skipped) - _MAX_SKIPPED_SHOWN} more")
    if args.json:
        print_json(selected=len(rows), written=exported.photos, skipped=len(exported.skipped), uri=exported.uri)
    return int(bool(exported.skipped))
