"""Everything but the autoencoder: photos a second with one that does nothing, memory over time, the first result.

    python benchmarks/scheduling.py PHOTOS --json bench-output/scheduling.json

Crops of the photos, as JPEG files on a local disk, go through `deepot apply` in a process of its own. The rate is that
of the photos which a long run has more than a short one, so that starting up is not in it. The first result is timed
from the start of `deepot run`, with the embedded autoencoder, until the first photo lies in the output folder.
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
from record import save

from pipeline.runs import RunPaths, read_manifest

_LOOK_S = 0.5


def crops(photos: Path, folder: Path, count: int, side: int) -> None:
    """Write random square crops."""
    sources = [Image.open(path).convert("RGB") for path in sorted(photos.glob("*"))[:40]]
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number in range(count):
        image = sources[number % len(sources)]
        left, top = (int(rng.integers(0, length - side + 1)) for length in image.size)
        image.crop((left, top, left + side, top + side)).save(folder / f"{number:06d}.jpg", quality=90)


def job(folder: Path, images: Path, **changes: object) -> Path:
    """A job file; results go beside it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    content: dict[str, object] = {
        "input": {"images": str(images)},
        "calibration": {"degradation": "blur:sigma=1", "limit": 8},
        "output": {"uri": str(folder / "out")},
    }
    (folder / "job.yaml").write_text(yaml.safe_dump(content | changes))
    return folder / "job.yaml"


def started(command: str, path: Path) -> subprocess.Popen[bytes]:
    """A deepot command in a process of its own."""
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    arguments = [sys.executable, "-m", "jobs.cli", command, str(path), "--allow-code"]
    return subprocess.Popen(arguments, env=os.environ | {"PYTHONPATH": paths}, stdout=subprocess.DEVNULL)


def finished(process: subprocess.Popen[bytes]) -> None:
    """Wait for a command.

    Raises:
        RuntimeError: it failed.
    """
    if process.wait():
        raise RuntimeError(f"{process.args!r} ended with exit status {process.returncode}")


def applied(path: Path) -> tuple[float, dict[str, list[float]]]:
    """Seconds of `deepot apply` on a job that has its map, and MiB of its processes over time."""
    finished(started("fit", path))
    begun = time.perf_counter()
    memory: dict[str, list[float]] = defaultdict(list)
    process = started("apply", path)
    while process.poll() is None:
        for name, size in sizes(process.pid).items():
            memory[name].append(size)
        time.sleep(_LOOK_S)
    finished(process)
    return time.perf_counter() - begun, dict(memory)


def sizes(pid: int) -> dict[str, float]:
    """MiB of the driver and of the largest worker below it."""
    found = {}
    try:
        driver = psutil.Process(pid)
        found["driver"] = driver.memory_info().rss / 2**20
        workers = [each for each in driver.children(recursive=True) if "ray::WorkerActor" in " ".join(each.cmdline())]
        found["worker"] = max(each.memory_info().rss for each in workers) / 2**20
    except (psutil.Error, ValueError):
        pass
    return found


def ceiling(work: Path, photos: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The rate with an autoencoder that does nothing, the share of each phase, and memory over time."""
    taken: dict[int, float] = {}
    memory: dict[str, list[float]] = {}
    for count in (options.short, options.images):
        images = work / f"in-{count}"
        crops(photos, images, count, options.side)
        path = job(work / f"null-{count}", images, vae="null_codec:codec", transport={"patch_size": 1})
        taken[count], memory = applied(path)
    rate = (options.images - options.short) / (taken[options.images] - taken[options.short])
    (run,) = (work / f"null-{options.images}" / "out" / "_deepot").iterdir()
    table = read_manifest(RunPaths(str(run)))
    phases = {name: 1000 * pc.mean(table[name]).as_py() for name in table.column_names if name.startswith("seconds_")}
    print(f"{rate:.0f} photos of {options.side} × {options.side} a second; apply of {options.images} took "
          f"{taken[options.images]:.1f} s, of {options.short} {taken[options.short]:.1f} s")  # fmt: skip
    print("milliseconds a photo by phase, phases of different photos run beside each other:", {
        name.removeprefix("seconds_"): round(value, 2) for name, value in phases.items()
    })  # fmt: skip
    for name, values in memory.items():
        quarter = max(1, len(values) // 4)
        print(f"{name}: {np.mean(values[quarter : 2 * quarter]):.0f} MiB in the second quarter of the time, "
              f"{np.mean(values[-quarter:]):.0f} MiB in the last")  # fmt: skip
    return {"rate": rate, "seconds": taken, "phases_ms": phases, "memory_mib": memory}


def first_result(work: Path, photos: Path, images: int, side: int) -> dict[str, float]:
    """Seconds from the start of `deepot run` to the first result, and to the end."""
    crops(photos, work / "in-cold", images, side)
    path = job(work / "cold", work / "in-cold", calibration={"degradation": "noise:sigma=25", "limit": 16})
    begun, first = time.perf_counter(), None
    process = started("run", path)
    while process.poll() is None and first is None:
        if any((work / "cold" / "out").glob("*.jpg")):
            first = time.perf_counter() - begun
        time.sleep(0.05)
    finished(process)
    whole = time.perf_counter() - begun
    seen = first or whole
    print(f"{images} photos of {side} × {side}, embedded, cold: first result after {seen:.1f} s, all {whole:.1f} s")
    return {"first": seen, "all": whole}


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder of photos to cut crops from")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--short", type=int, default=500)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--cold-images", type=int, default=50)
    parser.add_argument("--cold-side", type=int, default=192)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder otherwise")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        work, results = Path(name), {}
        if options.images:
            results["ceiling"] = ceiling(work, options.photos, options)
        if options.cold_images:
            results["first_result"] = first_result(work, options.photos, options.cold_images, options.cold_side)
    save(options.json, options, results)


if __name__ == "__main__":
    main()
