"""Garbage collection in a run of very many images: time and memory, on real but empty files.

    python benchmarks/bench_gc.py --images 1000000 --json bench-output/bench_gc.json

The run has a plan, a commit and a manifest file for every 32 images, and a result for each image. The commit of every
hundredth shard is missing, so that its results are orphans.
"""

import os
import tempfile
import time
from pathlib import Path

from benchmarks._results import cpu_seconds_of, make_parser, peak_rss_mib, reset_peak_rss, save_results
from benchmarks._synthetic_runs import IMAGES_PER_SHARD, iter_synthetic_entries, write_run_files
from pipeline.maintenance import find_orphans, remove_orphans
from pipeline.runs import (
    RunPaths,
    Shard,
    commit,
    extend_plan,
    new_attempt_name,
    new_row,
    read_plan,
    write_manifest_file,
)

_UNCOMMITTED_EVERY = 100


def make_run(images: int, folder: Path) -> None:
    """Write a run of this many images whose every hundredth shard has results but no commit."""
    run = write_run_files(str(folder))
    extend_plan(run, iter_synthetic_entries(images), IMAGES_PER_SHARD)
    for shard in read_plan(run):
        _write_results(run, shard, folder / "out")


def _write_results(run: RunPaths, shard: Shard, output: Path) -> None:
    rows = []
    for entry in shard.entries:
        path = output / entry.key
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        rows.append(new_row(entry, shard.number, 1) | {"status": "ok", "output_uri": str(path)})
    manifest_file = write_manifest_file(run, f"{new_attempt_name(run, shard.number, 1)}.parquet", rows)
    if shard.number % _UNCOMMITTED_EVERY:
        commit(run, shard.number, [manifest_file])


def make_run_in_child(images: int, folder: Path) -> None:
    """Make the run in a child process, so that its memory does not count.

    Raises:
        SystemExit: the child failed.
    """
    child = os.fork()
    if not child:
        make_run(images, folder)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        raise SystemExit("the run could not be made; the error of the child process is above")


def main() -> None:
    """Make a run, list its orphans, remove them."""
    parser = make_parser(__doc__)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where to write; default: a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        make_run_in_child(options.images, Path(folder))
        run, imports = RunPaths(f"{folder}/run"), peak_rss_mib()
        counts = {"listed": 0, "removed": 0}
        results: dict[str, float] = {"imports_mib": imports}

        def list_all() -> None:
            counts["listed"] = sum(1 for _ in find_orphans(run, time.time() + 1))

        def remove_all() -> None:
            counts["removed"] = sum(1 for _ in remove_orphans(find_orphans(run, time.time() + 1)))

        for name, call in (("list", list_all), ("remove", remove_all)):
            before = reset_peak_rss()
            seconds, cpu = cpu_seconds_of(call)
            results |= {f"{name}_seconds": seconds, f"{name}_cpu_seconds": cpu, f"{name}_peak_mib": peak_rss_mib()}
            results[f"{name}_mib"] = peak_rss_mib() - before
            print(f"{name:6} {seconds:6.1f} s, peak {peak_rss_mib():5,.0f} MiB (imports: {imports:,.0f})", flush=True)
        results |= counts
        print(f"{counts['listed']:,} orphans listed, {counts['removed']:,} removed, {options.images:,} results")
    save_results(options.json, options, results)


if __name__ == "__main__":
    main()
