"""Choose photos of a run by an SQL expression over their manifest rows."""

import argparse

from jobs.console import make_progress, print_json
from jobs.flags import add_json_flag, parse_positive_int
from pipeline.curation import PHOTO_KINDS, export_photos, select_rows
from pipeline.runs import RunPaths
from pipeline.storage import absolute_uri

_MAX_SHOWN, _MAX_SKIPPED_SHOWN = 20, 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which photos, and where to."""
    parser.add_argument("run", metavar="RUN", help="folder of the run, the one with run.json")
    parser.add_argument(
        "--where",
        default="true",
        metavar="SQL",
        help="over the manifest's columns, e.g. \"status = 'ok' AND noise < 3\"",
    )
    parser.add_argument("--order", default="file_name", metavar="SQL", help='e.g. "sharpness DESC"')
    parser.add_argument("--map", default="", metavar="SHA256", help="only what this map made; its first digits do")
    parser.add_argument("--limit", type=parse_positive_int, help="at most so many")
    parser.add_argument(
        "--to",
        metavar="PLACE",
        help="a list (….txt), Parquet (….parquet) or a folder of tar shards for WebDataset (…/)",
    )
    parser.add_argument(
        "--photos", choices=PHOTO_KINDS, default="output", help="which photos lists and tar shards hold"
    )
    add_json_flag(parser)


def main(args: argparse.Namespace) -> int:
    """Choose and export, or show the first; 1 where chosen photos could not be exported."""
    rows = select_rows(RunPaths(absolute_uri(args.run).rstrip("/")), args.where, args.order, args.limit, args.map)
    print(f"chosen   {len(rows)} photos")
    if args.to is None:
        for name in rows["file_name"][:_MAX_SHOWN].to_pylist():
            print(f"         {name}")
        if len(rows) > _MAX_SHOWN:
            print(f"         … {len(rows) - _MAX_SHOWN} more; --to writes all of them")
        if args.json:
            print_json(chosen=len(rows))
        return 0
    exported = export_photos(rows, args.to, args.photos, make_progress())
    print(f"written  {exported.photos} to {exported.uri}")
    for name, why in exported.skipped[:_MAX_SKIPPED_SHOWN]:
        print(f"without  {name}: {why}")
    if len(exported.skipped) > _MAX_SKIPPED_SHOWN:
        print(f"without  … {len(exported.skipped) - _MAX_SKIPPED_SHOWN} more")
    if args.json:
        print_json(chosen=len(rows), written=exported.photos, uri=exported.uri)
    return int(bool(exported.skipped))
