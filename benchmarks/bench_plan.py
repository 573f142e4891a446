"""The driver's own work: planning a listing of millions of keys, and scheduling, committing and summing up shards.

    python benchmarks/bench_plan.py --keys 10000000 --shards 100000 --json bench-output/bench_plan.json

The listing is synthetic, one key at a time, and its own time is printed as well. Shards go to a worker pool that
answers at once, with the same manifest file each time, so what is timed is reading the plan, scheduling, reading what
is committed, committing to the disk and summing up.
"""

import tempfile
from collections import deque
from pathlib import Path
from typing import Any

from benchmarks._results import (
    cpu_seconds_of,
    make_parser,
    peak_rss_mib,
    reset_peak_rss,
    save_results,
    stored_bytes,
    time_call,
)
from benchmarks._synthetic_runs import IMAGES_PER_SHARD, iter_synthetic_entries, write_shard_result
from pipeline.progress import NullProgress
from pipeline.runs import (
    ManifestFile,
    RunPaths,
    count_planned_images,
    extend_plan,
    finalize_run,
    iter_shards_by_descending_cost,
    read_plan,
)
from pipeline.stages import ShardScheduler
from pipeline.storage import write
from pipeline.workers import WorkItem

_MAX_IN_FLIGHT = 8


class InstantWorkerPool:
    """A worker pool whose work is done as soon as it is submitted, and always has the same rows."""

    def __init__(self, run: RunPaths) -> None:
        """Write the manifest file."""
        self._items: deque[WorkItem] = deque()
        self._manifest_file = write_shard_result(run)

    def free_slots(self) -> int:
        """Return how many more items may be submitted."""
        return _MAX_IN_FLIGHT - len(self._items)

    def submit(self, item: WorkItem, *, exclusive: bool = False) -> None:
        """Queue an item."""
        self._items.append(item)

    def wait(self) -> tuple[WorkItem, ManifestFile]:
        """Return the oldest item and the manifest file."""
        return self._items.popleft(), self._manifest_file


def measure_planning(keys: int, folder: str) -> dict[str, Any]:
    """Measure a first plan, a second listing without new keys, counting and reading the plan; seconds and peaks."""
    run, results = RunPaths(folder), dict[str, Any](imports_mib=peak_rss_mib())
    listing_seconds = time_call(lambda: deque(iter_synthetic_entries(keys), maxlen=0))
    calls = {
        "first": lambda: extend_plan(run, iter_synthetic_entries(keys)),
        "again": lambda: extend_plan(run, iter_synthetic_entries(keys)),
        "count": lambda: count_planned_images(run),
        "read": lambda: deque(iter_shards_by_descending_cost(run, count_planned_images(run)), maxlen=0),
    }
    for name, call in calls.items():
        before = reset_peak_rss()
        seconds, cpu = cpu_seconds_of(call)
        results |= {f"{name}_seconds": seconds, f"{name}_cpu_seconds": cpu, f"{name}_peak_mib": peak_rss_mib()}
        results[f"{name}_mib"] = peak_rss_mib() - before
        print(f"{name:6} {keys / seconds:10,.0f} keys/s, peak {peak_rss_mib():5,.0f} MiB", flush=True)
    results |= {"listing_seconds": listing_seconds, "files": stored_bytes(Path(folder))}
    print(f"the synthetic listing alone: {keys / listing_seconds:,.0f} keys/s")
    return results


def measure_scheduling(shards: int, folder: str) -> dict[str, Any]:
    """Measure scheduling and committing this many shards, and summing them up at the end."""
    run = RunPaths(folder)
    write(run.run_json, b"{}")
    extend_plan(run, iter_synthetic_entries(IMAGES_PER_SHARD * shards), IMAGES_PER_SHARD)
    before = reset_peak_rss()
    scheduler = ShardScheduler(run, InstantWorkerPool(run), NullProgress())
    apply_s, apply_cpu_s = cpu_seconds_of(lambda: scheduler.run_shards(read_plan(run)))
    apply_mib = peak_rss_mib() - before
    before = reset_peak_rss()
    summary_s, summary_cpu_s = cpu_seconds_of(lambda: finalize_run(run, 0, 0))
    print(f"apply {1000 * apply_s / shards:.2f} ms/shard, summary {1000 * summary_s / shards:.2f} ms/shard", flush=True)
    print(f"peak {peak_rss_mib():,.0f} MiB")
    return {
        "apply_seconds": apply_s,
        "apply_cpu_seconds": apply_cpu_s,
        "apply_mib": apply_mib,
        "summary_seconds": summary_s,
        "summary_cpu_seconds": summary_cpu_s,
        "summary_mib": peak_rss_mib() - before,
        "peak_mib": peak_rss_mib(),
    }


def main() -> None:
    """Measure planning, then scheduling."""
    parser = make_parser(__doc__)
    parser.add_argument("--keys", type=int, default=10_000_000, help="0 leaves planning out")
    parser.add_argument("--shards", type=int, default=100_000, help="0 leaves scheduling out")
    parser.add_argument("--folder", type=Path, help="where to write; default: a temporary folder")
    options = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    for name, measure, size in (
        ("planning", measure_planning, options.keys),
        ("scheduling", measure_scheduling, options.shards),
    ):
        if size:
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                results[name] = measure(size, folder)
    save_results(options.json, options, results)


if __name__ == "__main__":
    main()
