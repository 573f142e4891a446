"""Find photos of a run that look the same, by their perceptual hashes."""

import argparse
from itertools import groupby

from jobs.console import show_json
from jobs.flags import add_output, file_of
from pipeline.curation.duplicates import duplicates
from pipeline.curation.export import write_parquet
from pipeline.runs.paths import Run
from pipeline.storage.objects import absolute

_SHOWN = 20


def add(parser: argparse.ArgumentParser) -> None:
    """The run's folder, and how alike."""
    parser.add_argument("run", metavar="RUN", help="folder of the run, the one with run.json")
    parser.add_argument("--bits", type=int, default=4, help="of 64 that the hashes of two photos may differ in (4)")
    parser.add_argument(
        "--to", type=file_of(".parquet"), metavar="FILE.parquet", help="write all groups: group, keep, file_name, …"
    )
    add_output(parser)


def main(options: argparse.Namespace) -> int:
    """Print the groups, the largest photo of each first."""
    found = duplicates(Run(absolute(options.run).rstrip("/")), options.bits)
    rows = found.to_pylist()
    groups = [list(group) for _, group in groupby(rows, key=lambda row: row["group"])]
    print(f"groups   {len(groups)} of photos that look the same, {len(rows)} photos in all")
    for group in groups[:_SHOWN]:
        print("         " + " = ".join(row["file_name"] for row in group))
    if len(groups) > _SHOWN:
        print(f"         … {len(groups) - _SHOWN} more; --to writes all of them")
    if options.to:
        write_parquet(found, options.to)
        print(f"written  {options.to}")
    if options.json:
        show_json(groups=len(groups), photos=len(rows))
    return 0
