"""Everything but the autoencoder: shards and photos per second, memory over time, the time until the first result.

    python benchmarks/bench_scheduling.py PHOTOS --json bench-output/bench_scheduling.json

Crops of the photos, as JPEG files on a local disk, go through `deepot apply` in a process of its own, with an
autoencoder that does nothing. The rate is that of the photos that a long run has more than a short one, so start-up
does not count. The first result is timed from the start of `deepot run`, with the embedded autoencoder, until the first
photo lies in the output folder.

What the driver alone does for a shard is measured with workers that answer at once, on a cluster that is none, for
several numbers of workers; in CPU time of its main thread and of all its threads, which write the commits. Without
PHOTOS nothing else is measured:

    python benchmarks/bench_scheduling.py --workers 10 100 1000 5000 --repeats 5 --folder /dev/shm
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.compute as pc
import yaml
from PIL import Image

from benchmarks._results import make_parser, save_results
from benchmarks._synthetic_runs import IMAGES_PER_SHARD, iter_synthetic_entries, write_shard_result
from pipeline.config import parse_job
from pipeline.progress import NullProgress
from pipeline.runs import RunPaths, extend_plan, read_manifest, read_plan
from pipeline.stages import ShardScheduler
from pipeline.storage import write
from tests.support.fake_cluster import FakeCluster, fake_ray_pool

ROOT = Path(__file__).resolve().parents[1]
_MEMORY_INTERVAL_S = 0.5
_MAX_SOURCES = 40


def write_crops(photos: Path, folder: Path, count: int, side: int) -> None:
    """Write random square crops of the photos as JPEG files; a side of a smaller photo is kept as it is."""
    sources = [Image.open(path).convert("RGB") for path in sorted(photos.glob("*"))[:_MAX_SOURCES]]
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number in range(count):
        image = sources[number % len(sources)]
        width, height = (min(side, length) for length in image.size)
        left, top = int(rng.integers(image.width - width + 1)), int(rng.integers(image.height - height + 1))
        image.crop((left, top, left + width, top + height)).save(folder / f"{number:06d}.jpg", quality=90)


def pythonpath() -> str:
    """Return the PYTHONPATH of processes that must find `benchmarks` and what this process finds."""
    return os.pathsep.join([str(ROOT), *filter(None, sys.path)])


def write_job(folder: Path, images: Path, **sections: object) -> Path:
    """Write a job file whose results go beside it, and return its path."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    content: dict[str, object] = {
        "input": str(images),
        "calibration": {"degradation": "blur:sigma=1", "limit": 8},
        "output": str(folder / "out"),
        "compute": {"pool": "ray"},  # also for few photos
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(content | sections))
    return path


def start_command(command: str, job: Path) -> subprocess.Popen[bytes]:
    """Start a deepot command in a process of its own."""
    arguments = [sys.executable, "-m", "jobs.cli", command, str(job), "--allow-code"]
    return subprocess.Popen(arguments, env=os.environ | {"PYTHONPATH": pythonpath()}, stdout=subprocess.DEVNULL)


def wait_for(process: subprocess.Popen[bytes]) -> None:
    """Wait for a command.

    Raises:
        RuntimeError: it failed.
    """
    if process.wait():
        raise RuntimeError(f"{process.args!r} ended with exit status {process.returncode}; its error is above")


def time_apply(job: Path) -> tuple[float, dict[str, list[float]]]:
    """Return the seconds of `deepot apply` on a job that has its map, and MiB of its processes over time."""
    wait_for(start_command("fit", job))
    started = time.perf_counter()
    memory: dict[str, list[float]] = defaultdict(list)
    process = start_command("apply", job)
    while process.poll() is None:
        for name, mib in measure_memory(process.pid).items():
            memory[name].append(mib)
        time.sleep(_MEMORY_INTERVAL_S)
    wait_for(process)
    return time.perf_counter() - started, dict(memory)


def measure_memory(pid: int) -> dict[str, float]:
    """Return the MiB of a driver and of its largest worker; without those that cannot be read."""
    memory = {}
    try:
        driver = psutil.Process(pid)
        memory["driver"] = driver.memory_info().rss / 2**20
        workers = [
            child for child in driver.children(recursive=True) if "ray::WorkerActor" in " ".join(child.cmdline())
        ]
        memory["worker"] = max(worker.memory_info().rss for worker in workers) / 2**20
    except (psutil.Error, ValueError):
        pass
    return memory


def measure_rate(work: Path, photos: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Measure the rate with the null autoencoder, the time of each phase, and memory over time."""
    seconds: dict[int, float] = {}
    memory: dict[str, list[float]] = {}
    for count in (options.short, options.images):
        images = work / f"in-{count}"
        write_crops(photos, images, count, options.side)
        autoencoder = "benchmarks.null_autoencoder:autoencoder"
        job = write_job(work / f"null-{count}", images, autoencoder=autoencoder, transport={"patch_size": 1})
        seconds[count], memory = time_apply(job)
    rate = (options.images - options.short) / (seconds[options.images] - seconds[options.short])
    (run,) = (path for path in (work / f"null-{options.images}" / "out" / "_deepot").iterdir() if path.is_dir())
    table = read_manifest(RunPaths(str(run)))
    phases = {
        name.removeprefix("seconds_"): 1000 * pc.mean(table[name]).as_py()
        for name in table.column_names
        if name.startswith("seconds_")
    }
    print(f"{rate:.0f} photos of {options.side} × {options.side} per second; apply of {options.images} took "
          f"{seconds[options.images]:.1f} s, of {options.short} {seconds[options.short]:.1f} s")  # fmt: skip
    print("milliseconds per photo by phase; phases of different photos overlap:",
          {name: round(milliseconds, 2) for name, milliseconds in phases.items()})  # fmt: skip
    for name, values in memory.items():
        quarter = max(1, len(values) // 4)
        print(f"{name}: {np.mean(values[quarter : 2 * quarter]):.0f} MiB in the second quarter of the time, "
              f"{np.mean(values[-quarter:]):.0f} MiB in the last")  # fmt: skip
    return {"rate": rate, "seconds": seconds, "phases_ms": phases, "memory_mib": memory}


def time_first_result(work: Path, photos: Path, images: int, side: int) -> dict[str, float]:
    """Return the seconds from the start of `deepot run` to the first result, and to the end."""
    write_crops(photos, work / "in-cold", images, side)
    job = write_job(work / "cold", work / "in-cold", calibration={"degradation": "noise:sigma=25", "limit": 16})
    started, first = time.perf_counter(), None
    process = start_command("run", job)
    while process.poll() is None and first is None:
        if any((work / "cold" / "out").glob("*.jpg")):
            first = time.perf_counter() - started
        time.sleep(0.05)
    wait_for(process)
    total = time.perf_counter() - started
    first = first or total
    print(f"{images} photos of {side} × {side}, embedded, cold: first result after {first:.1f} s, all {total:.1f} s")
    return {"first": first, "all": total}


def time_driver(workers: int, shards: int, folder: Path | None) -> dict[str, float]:
    """Return the CPU milliseconds per shard of the main thread and of all threads of a driver with fake workers."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        run = RunPaths(name)
        write(run.run_json, b"{}")
        extend_plan(run, iter_synthetic_entries(IMAGES_PER_SHARD * shards), IMAGES_PER_SHARD)
        job = parse_job({"input": "s3://archive/scans", "output": name, "calibration": {"degradation": "blur"}})
        result = write_shard_result(run)
        with fake_ray_pool(job, workers, FakeCluster(lambda _: result)) as pool:
            scheduler = ShardScheduler(run, pool, NullProgress())
            main, process = time.thread_time(), time.process_time()
            scheduler.run_shards(read_plan(run))
            main, process = time.thread_time() - main, time.process_time() - process
    return {"main_ms": 1000 * main / shards, "all_ms": 1000 * process / shards}


def measure_driver(options: argparse.Namespace) -> dict[int, dict[str, list[float]]]:
    """Measure the driver with every number of workers, in turns; a repetition before the others does not count."""
    results = {count: {"main_ms": list[float](), "all_ms": list[float]()} for count in options.workers}
    for repeat in range(options.repeats + 1):
        for count in options.workers:
            shards = options.shards if repeat else 2 * count
            for name, milliseconds in time_driver(count, shards, options.folder).items():
                results[count][name] += [milliseconds] if repeat else []
    for count, found in results.items():
        main, threads = (float(np.median(found[name])) for name in ("main_ms", "all_ms"))
        print(f"{count:5} workers: {main:.3f} ms of the main thread per shard, {1000 / main:,.0f} shards/s; "
              f"all threads {threads:.3f} ms, {1000 / threads:,.0f} shards/s", flush=True)  # fmt: skip
    return results


def main() -> None:
    """Measure the driver, the rate, then the first result."""
    parser = make_parser(__doc__)
    parser.add_argument("photos", type=Path, nargs="?", help="folder of photos to take crops from")
    parser.add_argument("--workers", type=int, nargs="*", default=[10, 100, 1000, 5000], help="that answer at once")
    parser.add_argument("--shards", type=int, default=10_000, help="that these workers do")
    parser.add_argument("--repeats", type=int, default=3, help="of the driver's measurement")
    parser.add_argument("--images", type=int, default=10_000, help="of the long run; 0 leaves the rate out")
    parser.add_argument("--short", type=int, default=500, help="of the short run")
    parser.add_argument("--side", type=int, default=128, help="of the crops")
    parser.add_argument("--cold-images", type=int, default=50, help="0 leaves the first result out")
    parser.add_argument("--cold-side", type=int, default=192)
    parser.add_argument("--folder", type=Path, help="where to write; default: a temporary folder")
    options = parser.parse_args()
    results: dict[str, Any] = {"driver": measure_driver(options)}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        work = Path(name)
        if options.photos and options.images:
            results["rate"] = measure_rate(work, options.photos, options)
        if options.photos and options.cold_images:
            results["first_result"] = time_first_result(work, options.photos, options.cold_images, options.cold_side)
    save_results(options.json, options, results)


if __name__ == "__main__":
    main()
