"""Fold the rows and commits of a run into few files, which makes reading a large run faster."""

import argparse

from jobs.console import count_of, print_json, print_line
from jobs.flags import add_json_flag, add_run_argument, run_from_args
from pipeline import runs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run."""
    add_run_argument(parser)
    add_json_flag(parser)


def main(args: argparse.Namespace) -> int:
    """Compact a run, and print what was folded; return 1 if files of some shards are missing or have changed."""
    run = run_from_args(args)
    done = runs.compact_run(run)
    print_line(f"compact  {count_of(done.shards, 'shard')} with {count_of(done.rows, 'row')} folded into "
               f"{count_of(done.segments, 'segment')}")  # fmt: skip
    if done.left_out:
        print_line(f"left out {count_of(done.left_out, 'shard')}: see 'deepot verify {run.uri}'")
    if args.json:
        print_json(run=run.uri, segments=done.segments, shards=done.shards, rows=done.rows, left_out=done.left_out)
    return int(done.left_out > 0)
