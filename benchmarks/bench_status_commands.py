"""What commands that only look at a run take of the driver: time and memory above the imports, over very many images.

    python benchmarks/commands.py --images 320000 --json bench-output/commands.json

The run has a plan, a commit and a manifest part for each 32 images, all of them made up and written without waiting for
the disk, and no results: photos are not opened. Each command has a process of its own.
"""

import argparse
import json
import os
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import duckdb  # noqa: F401 — what commands import when they need it is no memory of theirs
import matplotlib.figure  # noqa: F401
import scipy.sparse.csgraph  # noqa: F401
from collecting import SHARD_IMAGES, described_run, listed, peak_mib
from record import save, seconds

from pipeline.curation import find_duplicates, select_rows
from pipeline.maintenance import find_orphans
from pipeline.reporting import write_report
from pipeline.runs import RunPaths, commit, extend_plan, new_row, read_plan, summarize_run, write_manifest_file

COMMANDS: dict[str, Callable[[RunPaths], object]] = {
    "status": summarize_run,
    "gc": lambda run: sum(1 for _ in find_orphans(run, 0.0)),
    "report": write_report,
    "select": lambda run: select_rows(run, "noise < 0.001", limit=100),
    "duplicates": lambda run: find_duplicates(run, 4),
}


def made(images: int, folder: str) -> None:
    """A run of so many images that are all done."""
    os.fsync = lambda _: None  # type: ignore[assignment]
    run, chance = described_run(folder), random.Random(0)
    extend_plan(run, listed(images), SHARD_IMAGES)
    for shard in read_plan(run):
        rows = []
        for entry in shard.entries:
            scores = {name: chance.random() for name in ("noise", "sharpness", "patch_nll", "patch_nll_output")}
            done = {"status": "ok", "output_uri": f"s3://archive/enhanced/{entry.key}", "input_sha256": "0" * 64}
            found = {
                "phash": f"{chance.getrandbits(64):016x}",
                "width": 1000,
                "height": 1000,
                "output_sha256": "1" * 64,
            }
            rows.append(new_row(entry, shard.number, 1) | scores | done | found)
        commit(run, shard.number, [write_manifest_file(run, f"{shard.number:05d}.parquet", rows)])


def in_a_process(work: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What a function returns that has a process, and a memory, of its own."""
    reading, writing = os.pipe()
    if not os.fork():
        with open(writing, "w") as file:
            json.dump(work(), file)
        os._exit(0)
    os.close(writing)
    with open(reading) as file:
        text = file.read()
    if os.wait()[1]:
        raise SystemExit("a process ended with an error")
    found: dict[str, float] = json.loads(text)
    return found


def main() -> None:
    """Make a run, and look at it with every command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=320_000)
    parser.add_argument("--command", choices=list(COMMANDS), nargs="*", default=list(COMMANDS))
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder otherwise")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:

        def make() -> dict[str, float]:
            made(options.images, folder)
            return {}

        in_a_process(make)
        for name in options.command:
            results[name] = in_a_process(lambda name=name: look(name, RunPaths(f"{folder}/run")))  # type: ignore[misc]
            taken, above = results[name]["seconds"], results[name]["above_mib"]
            print(f"{name:10} {taken:6.1f} s, {above:6,.0f} MiB above the imports", flush=True)
    save(options.json, options, results)


def look(name: str, run: RunPaths) -> dict[str, float]:
    """Carry out a command."""
    before = peak_mib()
    taken = seconds(lambda: COMMANDS[name](run))
    return {"seconds": taken, "above_mib": peak_mib() - before}


if __name__ == "__main__":
    main()
