"""Garbage collection over a run of very many images: time and memory, on real files of no bytes.

    python benchmarks/collecting.py --images 1000000 --json bench-output/collecting.json

The run has a plan, a commit and a manifest part for each 32 images, and a result for each image; of every hundredth
image the commit is missing, so that its result is an orphan.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from record import save, seconds

from deepot.transport import CalibrationKind, Moments, fit_map
from pipeline.calibration import CalibrationPaths
from pipeline.config import parse_job
from pipeline.maintenance import find_orphans, remove_orphans
from pipeline.runs import OWNER_FILE, RunPaths, Shard, commit, extend_plan, new_row, read_plan, write_manifest_file
from pipeline.storage import Entry, write

SHARD_IMAGES = 32
"""As many as a shard has of photos of a megapixel."""
_FOLDER_IMAGES, _ORPHANED = 1000, 100


def peak_mib() -> float:
    """Most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def listed(images: int) -> Iterator[Entry]:
    """The input: a made-up listing."""
    for number in range(images):
        key = f"{number // _FOLDER_IMAGES:06d}/scan-{number:09d}.jpg"
        yield Entry(f"s3://archive/scans/{key}", key, 1, f"{number:032x}", 1.7e9)


def described_run(folder: str) -> RunPaths:
    """The folder of a run that has a job and a map, and an output folder that is its own."""
    run, output = RunPaths(f"{folder}/run"), f"{folder}/out"
    job = {"input": "s3://archive/scans", "output": output, "calibration": {"degradation": "blur"}}
    calibration = CalibrationPaths(f"{folder}/calibration")
    about = {"job": parse_job(job).model_dump(mode="json"), "calibration": calibration.uri, "fingerprint": "0"}
    write(run.run_json, json.dumps(about).encode())
    moments = Moments(9, 3, torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64))
    of_map = {"autoencoder": "x", "autoencoder_sha256": "0", "patch_size": 1, "shrinkage_se": 0.0}
    transport = fit_map([moments], [moments], calibration=CalibrationKind.PAIRED, **of_map)  # type: ignore[arg-type]
    write(calibration.map(), transport.to_bytes())
    write(f"{output}/{OWNER_FILE}", json.dumps({"run": run.uri}).encode())
    return run


def made(images: int, folder: Path) -> None:
    """A run of so many images, done but for every hundredth shard, whose results are there all the same."""
    run = described_run(str(folder))
    extend_plan(run, listed(images), SHARD_IMAGES)
    for shard in read_plan(run):
        _done(run, shard, folder / "out")


def _done(run: RunPaths, shard: Shard, output: Path) -> None:
    rows = []
    for entry in shard.entries:
        path = output / entry.key
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        rows.append(new_row(entry, shard.number, 1) | {"status": "ok", "output_uri": str(path)})
    if shard.number % _ORPHANED:
        commit(run, shard.number, [write_manifest_file(run, f"{shard.number:05d}.parquet", rows)])


def main() -> None:
    """Make a run, look for its orphans, remove them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder otherwise")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        child = os.fork()  # what makes the run has a memory of its own
        if not child:
            made(options.images, Path(folder))
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            raise SystemExit("the run could not be made")
        run, before, found = RunPaths(f"{folder}/run"), peak_mib(), {"looked": 0, "removed": 0}
        results: dict[str, float] = {"imports_mib": before}

        def look() -> None:
            found["looked"] = sum(1 for _ in find_orphans(run, time.time() + 1))

        def remove() -> None:
            found["removed"] = sum(1 for _ in remove_orphans(find_orphans(run, time.time() + 1)))

        for name, work in (("look", look), ("remove", remove)):
            taken = seconds(work)
            results |= {f"{name}_seconds": taken, f"{name}_peak_mib": peak_mib()}
            print(f"{name:6} {taken:6.1f} s, at most {peak_mib():5,.0f} MiB ({before:,.0f} of imports)", flush=True)
        results |= found
        print(f"{found['looked']:,} orphans seen, {found['removed']:,} removed, of {options.images:,} results")
    save(options.json, options, results)


if __name__ == "__main__":
    main()
