"""Find photos of a run that look the same by their perceptual hashes."""

import argparse
from itertools import groupby, islice

from jobs.console import print_json, print_line
from jobs.flags import add_json_flag, add_run_argument, file_with_suffix, run_from_args, whole_number
from pipeline import curation

_MAX_SHOWN, _DEFAULT_BITS = 20, 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run, how similar photos must be, and where to write the groups."""
    add_run_argument(parser)
    parser.add_argument(
        "--bits",
        type=whole_number(0, curation.MAX_HAMMING_DISTANCE),
        default=_DEFAULT_BITS,
        help=f"bits, of 64, in which the hashes of two such photos may differ (default: {_DEFAULT_BITS})",
    )
    parser.add_argument(
        "--to",
        type=file_with_suffix(".parquet"),
        metavar="FILE.parquet",
        help="write all groups, one row per photo: group, keep, file_name, …",
    )
    add_json_flag(parser)


def main(args: argparse.Namespace) -> int:
    """Print the groups with the largest photo of each first, and write all of them if asked to."""
    table = curation.find_duplicates(run_from_args(args), args.bits)
    n_groups = table["group"][-1].as_py() if len(table) else 0
    print_line(f"groups   {n_groups} of photos that look the same, {len(table)} photos in total")
    rows = (row for batch in table.select(["group", "file_name"]).to_batches() for row in batch.to_pylist())
    for _, group in islice(groupby(rows, key=lambda row: row["group"]), _MAX_SHOWN):
        print_line("         " + " = ".join(row["file_name"] for row in group))
    if n_groups > _MAX_SHOWN:
        print_line(f"         … {n_groups - _MAX_SHOWN} more; --to writes all of them")
    if args.to:
        curation.write_parquet(table, args.to)
        print_line(f"written  {args.to}")
    if args.json:
        print_json(groups=n_groups, photos=len(table))
    return 0
