"""Choose photos of a run by an SQL expression over their manifest rows."""

import argparse

from jobs.console import progress, show_json
from jobs.flags import add_output, count
from pipeline.curation.export import SIDES, export
from pipeline.curation.query import select
from pipeline.runs.paths import Run
from pipeline.storage.objects import absolute

_SHOWN, _LISTED = 20, 10


def add(parser: argparse.ArgumentParser) -> None:
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
    parser.add_argument("--limit", type=count, help="at most so many")
    parser.add_argument(
        "--to",
        metavar="PLACE",
        help="a list (….txt), Parquet (….parquet) or a folder of tar shards for WebDataset (…/)",
    )
    parser.add_argument("--photos", choices=SIDES, default="output", help="which photos lists and tar shards hold")
    add_output(parser)


def main(options: argparse.Namespace) -> int:
    """Choose and export, or show the first; 1 where chosen photos could not be exported."""
    rows = select(Run(absolute(options.run).rstrip("/")), options.where, options.order, options.limit, options.map)
    print(f"chosen   {len(rows)} photos")
    if options.to is None:
        for name in rows["file_name"][:_SHOWN].to_pylist():
            print(f"         {name}")
        if len(rows) > _SHOWN:
            print(f"         … {len(rows) - _SHOWN} more; --to writes all of them")
        if options.json:
            show_json(chosen=len(rows))
        return 0
    written = export(rows, options.to, options.photos, progress())
    print(f"written  {written.photos} to {written.uri}")
    for name, why in written.left_out[:_LISTED]:
        print(f"without  {name}: {why}")
    if len(written.left_out) > _LISTED:
        print(f"without  … {len(written.left_out) - _LISTED} more")
    if options.json:
        show_json(chosen=len(rows), written=written.photos, uri=written.uri)
    return int(bool(written.left_out))
