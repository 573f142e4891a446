"""The driver's own work: planning a listing of millions of keys, and keeping account of shards.

    python benchmarks/planning.py --keys 10000000 --shards 100000 --json bench-output/planning.json

The listing is made up, a key at a time, and its own time is told. Shards go to a crew that answers at once, so that
what is timed is reading the plan, handing out, committing to the disk, and summing up.
"""

import argparse
import resource
import tempfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from record import save, seconds

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
from pipeline.storage import Entry, write
from pipeline.workers import WorkItem

_IN_FLIGHT = 8


def listed(keys: int) -> Iterator[Entry]:
    """A made-up listing in the order of its keys."""
    for number in range(keys):
        key = f"{number // 1000:06d}/scan-{number:09d}.jpg"
        yield Entry(f"s3://archive/scans/{key}", key, 1_000_000 + number, f"{number:032x}", 1.7e9 + number)


def peak_mib() -> float:
    """Most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class InstantWorkerPool:
    """A crew whose work is done as soon as it is asked for."""

    def __init__(self) -> None:
        self._works: deque[WorkItem] = deque()

    def free_slots(self) -> int:
        """How much more it takes."""
        return _IN_FLIGHT - len(self._works)

    def submit(self, item: WorkItem, *, exclusive: bool = False) -> None:
        """Take work."""
        self._works.append(item)

    def wait(self) -> tuple[WorkItem, ManifestFile]:
        """Give the oldest work back."""
        work = self._works.popleft()
        images = len(work.entries)
        return work, ManifestFile(f"{work.shard:05d}-1-00000000.parquet", 10_000, "0" * 64, images, 0, 0, {})


def planning(keys: int, folder: str) -> dict[str, float]:
    """Rates of a first plan, of a second listing that finds nothing new, and of reading the plan."""
    run, found = RunPaths(folder), {"imports_mib": peak_mib()}
    alone = seconds(lambda: deque(listed(keys), maxlen=0))
    works = {
        "first": lambda: extend_plan(run, listed(keys)),
        "again": lambda: extend_plan(run, listed(keys)),
        "count": lambda: count_planned_images(run),
        "read": lambda: deque(iter_shards_by_descending_cost(run, count_planned_images(run)), maxlen=0),
    }
    for name, work in works.items():
        taken = seconds(work)
        found |= {f"{name}_seconds": taken, f"{name}_peak_mib": peak_mib()}
        print(f"{name:6} {keys / taken:10,.0f} keys/s, at most {peak_mib():5,.0f} MiB so far", flush=True)
    found["listing_seconds"] = alone
    print(f"the made-up listing alone: {keys / alone:,.0f} keys/s")
    return found


def account(shards: int, folder: str) -> dict[str, float]:
    """Seconds that apply and the sum at its end take for so many shards of 32 images."""
    run = RunPaths(folder)
    write(run.run_json, b"{}")
    extend_plan(run, listed(32 * shards), 32)
    applied = seconds(lambda: ShardScheduler(run, InstantWorkerPool(), NullProgress()).run_shards(read_plan(run)))
    summed = seconds(lambda: finalize_run(run, 0, 0))
    print(f"apply {1000 * applied / shards:.2f} ms a shard, sum {1000 * summed / shards:.2f} ms a shard", flush=True)
    print(f"at most {peak_mib():,.0f} MiB")
    return {"apply_seconds": applied, "sum_seconds": summed, "peak_mib": peak_mib()}


def main() -> None:
    """Plan, then keep account."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=10_000_000)
    parser.add_argument("--shards", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder otherwise")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    for name, call, size in (("planning", planning, options.keys), ("account", account, options.shards)):
        if size:
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                results[name] = call(size, folder)
    save(options.json, options, results)


if __name__ == "__main__":
    main()
