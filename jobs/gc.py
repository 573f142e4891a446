"""Remove what a run left behind: uncommitted parts, half-written files, results that no row names."""

import argparse
import re

from jobs.console import show_json
from jobs.flags import add_output
from pipeline.maintenance.gc import Kind, clock, orphans, remove_orphans
from pipeline.runs.paths import Run
from pipeline.storage.objects import absolute

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def add(parser: argparse.ArgumentParser) -> None:
    """The run's folder, the age, and whether to remove anything."""
    parser.add_argument("run", metavar="RUN", help="folder of the run, the one with run.json")
    parser.add_argument(
        "--older-than",
        type=age,
        default="1d",
        metavar="AGE",
        help="leave alone what was changed since: 90s, 30m, 24h, 7d (default: 1d); a driver may still be at work on it",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")
    add_output(parser)


def age(text: str) -> float:
    """Seconds of an age such as 24h."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"'{text}' is not an age: give a number and s, m, h or d, such as 24h")
    return float(found[1]) * _UNITS_S[found[2]]


def main(options: argparse.Namespace) -> int:
    """Remove the orphans of a run and say how many."""
    run = Run(absolute(options.run).rstrip("/"))
    found = orphans(run, clock(run) - options.older_than)
    counts, size = dict.fromkeys(Kind, 0), 0
    for orphan in found if options.dry_run else remove_orphans(found):
        counts[orphan.kind] += 1
        size += orphan.entry.size
        if options.dry_run:
            print(orphan.entry.uri)
    total = sum(counts.values())
    print(f"{'would remove' if options.dry_run else 'removed'} {total} files of {size} bytes")
    for kind, count in counts.items():
        print(f"         {count} × {kind}")
    if options.json:
        named = {kind.name.lower() + "s": count for kind, count in counts.items()}
        show_json(run=run.uri, removed=0 if options.dry_run else total, found=total, bytes=size, **named)
    return 0
