"""Find photos of a run that look the same, by their perceptual hashes."""

import argparse
from itertools import groupby

from jobs.console import print_json
from jobs.flags import add_json_flag, file_with_suffix
from pipeline.curation import find_duplicates, write_parquet
from pipeline.runs import RunPaths
from pipeline.storage import absolute_uri

_MAX_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run's folder, and how alike."""
    parser.add_argument("run", metavar="RUN", help="folder of the run, the one with run.json")
    parser.add_argument("--bits", type=int, default=4, help="of 64 that the hashes of two photos may differ in (4)")
    parser.add_argument(
        "--to",
        type=file_with_suffix(".parquet"),
        metavar="FILE.parquet",
        help="write all groups: group, keep, file_name, …",
    )
    add_json_flag(parser)


def main(args: argparse.Namespace) -> int:
    """Print the groups, the largest photo of each first."""
    table = find_duplicates(RunPaths(absolute_uri(args.run).rstrip("/")), args.bits)
    rows = table.to_pylist()
    groups = [list(group) for _, group in groupby(rows, key=lambda row: row["group"])]
    print(f"groups   {len(groups)} of photos that look the same, {len(rows)} photos in all")
    for group in groups[:_MAX_SHOWN]:
        print("         " + " = ".join(row["file_name"] for row in group))
    if len(groups) > _MAX_SHOWN:
        print(f"         … {len(groups) - _MAX_SHOWN} more; --to writes all of them")
    if args.to:
        write_parquet(table, args.to)
        print(f"written  {args.to}")
    if args.json:
        print_json(groups=len(groups), photos=len(rows))
    return 0
