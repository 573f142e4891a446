"""Dry run: images, bytes and shards, and what is new since the last plan; writes the plan, touches no photo."""

import argparse

from jobs.console import show_json
from jobs.flags import add_job, how_of, job_of
from pipeline.run import open_run, plan_job

add = add_job


def main(options: argparse.Namespace) -> int:
    """Show what a run would do."""
    opened = open_run(job_of(options), how_of(options))
    ahead = plan_job(opened)
    print(f"run      {opened.run.uri}")
    print(f"images   {ahead.found} ({ahead.found_bytes / 2**20:.1f} MiB)")
    print(f"new      {ahead.new} ({ahead.new_bytes / 2**20:.1f} MiB) in {ahead.shards} shards")
    if ahead.vanished:
        print(f"vanished {ahead.vanished} that were planned earlier; their results stay")
    if options.json:
        show_json(
            run=opened.run.uri,
            images=ahead.found,
            bytes=ahead.found_bytes,
            new=ahead.new,
            new_bytes=ahead.new_bytes,
            shards=ahead.shards,
            vanished=ahead.vanished,
        )
    return 0
