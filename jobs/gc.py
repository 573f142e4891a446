"""Remove uncommitted or folded manifest files, partial files and results that no manifest row names."""

import argparse
import re

from jobs.console import print_json, print_line
from jobs.flags import add_json_flag, add_run_argument, run_from_args
from pipeline import maintenance

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run, the minimum age of files to remove, and --dry-run."""
    add_run_argument(parser)
    parser.add_argument(
        "--older-than",
        type=parse_age_s,
        default="1d",
        metavar="AGE",
        help="keep files that were changed more recently, as a running job may still need them: 90s, 30m, 24h, 7d "
        "(default: 1d)",
    )
    parser.add_argument("--dry-run", action="store_true", help="list what would be removed, without removing it")
    add_json_flag(parser)


def parse_age_s(text: str) -> float:
    """Return the seconds of an age such as `24h`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"'{text}' is not an age: give a number and s, m, h or d, such as 24h")
    return float(match[1]) * _UNITS_S[match[2]]


def main(args: argparse.Namespace) -> int:
    """Remove the orphaned files of a run and print how many there were."""
    run = run_from_args(args)
    found = maintenance.find_orphans(run, maintenance.read_storage_clock(run) - args.older_than)
    counts, size = dict.fromkeys(maintenance.OrphanKind, 0), 0
    for orphan in found if args.dry_run else maintenance.remove_orphans(found):
        counts[orphan.kind] += 1
        size += orphan.entry.size
        if args.dry_run:
            print_line(orphan.entry.uri)
    total = sum(counts.values())
    print_line(f"{'would remove' if args.dry_run else 'removed'} {total} files of {size} bytes")
    for kind, count in counts.items():
        print_line(f"         {count} × {kind}")
    if args.json:
        counts_by_kind = {kind.name.lower() + "s": count for kind, count in counts.items()}
        print_json(run=run.uri, removed=0 if args.dry_run else total, found=total, bytes=size, **counts_by_kind)
    return 0
