"""Commands that only read a run of very many images: CPU time a row, and memory above the imports.

    python benchmarks/bench_status_commands.py --images 320000 --json bench-output/bench_status_commands.json

The run has a plan, a commit and a manifest file for every 32 images, written without waiting for the disk, and no
results: photos are not opened. Each command runs in a process of its own, before and after `deepot compact`.
"""

import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

# what commands import when they need it does not count as their memory
import duckdb  # noqa: F401
import matplotlib.figure  # noqa: F401
import scipy.sparse.csgraph  # noqa: F401

from benchmarks._results import make_parser, peak_rss_mib, save_results, stored_bytes
from benchmarks._synthetic_runs import IMAGES_PER_SHARD, iter_synthetic_entries, write_run_files
from pipeline.curation import export_photos, find_duplicates, open_selection
from pipeline.maintenance import find_orphans, verify_run
from pipeline.progress import NullProgress
from pipeline.reporting import write_report
from pipeline.runs import (
    RunPaths,
    commit,
    compact_run,
    extend_plan,
    new_row,
    read_plan,
    summarize_run,
    write_manifest_file,
)

COMMANDS: dict[str, Callable[[RunPaths], object]] = {
    "status": summarize_run,
    "gc": lambda run: sum(1 for _ in find_orphans(run, 0.0)),
    "verify": lambda run: verify_run(run, NullProgress()),
    "report": write_report,
    "select": lambda run: select_clean_photos(run),
    "export": lambda run: export_all(run),
    "duplicates": lambda run: find_duplicates(run, 4),
}
"""`export` writes every row as Parquet; `verify` does not read the results, which are not there."""


def select_clean_photos(run: RunPaths) -> None:
    """Select at most 100 photos without noise."""
    with open_selection(run, "noise < 0.001", limit=100, columns=["file_name"]) as selection:
        selection.to_table()


def export_all(run: RunPaths) -> None:
    """Select all rows and write them as a Parquet file."""
    with open_selection(run) as selection:
        export_photos(selection, f"{run.uri}/exported.parquet", "output", NullProgress())


def make_run(images: int, folder: str) -> None:
    """Write a run of this many images, all of them done."""
    os.fsync = lambda _: None  # type: ignore[assignment]
    run, rng = write_run_files(folder), random.Random(0)
    extend_plan(run, iter_synthetic_entries(images), IMAGES_PER_SHARD)
    for shard in read_plan(run):
        rows = []
        for entry in shard.entries:
            columns: dict[str, object] = {
                name: rng.random() for name in ("noise", "sharpness", "patch_nll", "patch_nll_output")
            }
            columns |= {"status": "ok", "output_uri": f"s3://archive/enhanced/{entry.key}", "input_sha256": "0" * 64}
            columns |= {"phash": f"{rng.getrandbits(64):016x}", "width": 1000, "height": 1000}
            rows.append(new_row(entry, shard.number, 1) | columns | {"output_sha256": "1" * 64})
        commit(run, shard.number, [write_manifest_file(run, f"{shard.number:05d}.parquet", rows)])


def call_in_child(call: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Call a function in a child process and return its result.

    Raises:
        SystemExit: the child failed.
    """
    reading, writing = os.pipe()
    if not os.fork():
        with open(writing, "w") as file:
            json.dump(call(), file)
        os._exit(0)
    os.close(writing)
    with open(reading) as file:
        text = file.read()
    if os.wait()[1]:
        raise SystemExit("a child process failed; its error is above")
    result: dict[str, float] = json.loads(text)
    return result


def measure(call: Callable[[], object], images: int) -> dict[str, float]:
    """Return the CPU time of a call, in microseconds a row, and its memory above the imports, in MiB."""
    before, started = peak_rss_mib(), time.process_time()
    call()
    microseconds = (time.process_time() - started) * 1e6 / images
    return {"cpu_microseconds_per_row": microseconds, "mib_above_imports": peak_rss_mib() - before}


def main() -> None:
    """Make a run, read it with every command, compact it, and read it again."""
    parser = make_parser(__doc__)
    parser.add_argument("--images", type=int, default=320_000)
    parser.add_argument("--command", choices=list(COMMANDS), nargs="*", default=list(COMMANDS))
    parser.add_argument("--folder", type=Path, help="where to write; default: a temporary folder")
    options = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    with (
        patch("pipeline.maintenance.verify.find_row_problem", lambda _: None),
        tempfile.TemporaryDirectory(dir=options.folder) as folder,
    ):
        run = RunPaths(f"{folder}/run")

        def measure_in_child(label: str, call: Callable[[RunPaths], object]) -> None:
            results[label] = found = call_in_child(lambda: measure(lambda: call(run), options.images))
            print(f"{label:22} {found['cpu_microseconds_per_row']:7.2f} µs a row, "
                  f"{found['mib_above_imports']:6,.0f} MiB above the imports", flush=True)  # fmt: skip

        measure_in_child("make", lambda _: make_run(options.images, folder))
        for state in ("parts", "segments"):
            for name in options.command:
                measure_in_child(f"{name}, {state}", COMMANDS[name])
            measure_in_child("compact" if state == "parts" else "compact again", compact_run)
        results["files"] = stored_bytes(Path(run.uri))
    save_results(options.json, options, results)


if __name__ == "__main__":
    main()
