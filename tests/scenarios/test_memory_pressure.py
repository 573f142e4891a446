"""Too little memory: an image that exhausts it, and an object store that others have filled."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.soak import FaultTally

pytestmark = pytest.mark.timeout(600)
ROOT = Path(__file__).resolve().parents[2]
FREE_BYTES = 4 * 2**30  # for Ray and its workers, before it has to kill some
STORE_BYTES = 80 * 2**20  # the smallest that Ray accepts


def run_in_own_process(folder, what):
    """Run `main` in a process, which has one Ray session; returns the file names and error codes of the rows."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, "-m", "tests.scenarios.test_memory_pressure", str(folder), what]
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=550)
    assert process.returncode == 0, process.stdout + process.stderr
    return json.loads(process.stdout.splitlines()[-1])


def count_rows(tally, rows, images):
    """Return the error code of each photo; the tally counts missing and doubled rows."""
    codes = dict(rows)
    tally.injected += 1
    tally.lost += images - len(codes)
    tally.doubled += len(rows) - len(codes)
    assert len(rows) == len(codes)
    return codes


@pytest.mark.soak
@pytest.mark.parametrize(("place", "what"), [("restored", "an image"), ("natural", "a calibration photo")])
def test_image_that_exhausts_the_memory_fails_only_its_row(tmp_path, record_fault, place, what):
    """Ray kills its worker, again and again, before the system does."""
    with record_fault(f"memory exceeded by {what}") as tally:
        codes = count_rows(tally, run_in_own_process(tmp_path, place), 5 + (place == "restored"))
        assert codes.pop("poison.png", None) == ("out_of_memory" if place == "restored" else None)
        assert set(codes.values()) == {None} and len(codes) == 5


def run_with_full_store(tally, folder):
    """Check that a job needs no room in Ray's object store."""
    codes = count_rows(tally, run_in_own_process(folder, "store"), 5)
    assert set(codes.values()) == {None} and len(codes) == 5


@pytest.mark.soak
def test_full_object_store_fails_no_image_time_and_again(tmp_path, record_fault):
    with record_fault("the object store is full") as tally:
        for turn in range(2):
            run_with_full_store(tally, tmp_path / str(turn))


def test_full_object_store_fails_no_image(tmp_path):
    run_with_full_store(FaultTally(""), tmp_path)


def main(folder, what):
    """Run a job on a Ray that is short of memory; print the names and error codes of its rows."""
    from PIL import Image

    from pipeline.config.loading import parse_job
    from pipeline.runs.committed_rows import read_manifest
    from pipeline.runs.paths import RunPaths
    from pipeline.stages import RunOptions, run_job
    from tests.support.photos import small_job_config

    held = start_with_full_store() if what == "store" else start_with_little_memory()
    compute = {"pool": "ray", "images_per_shard": 2, "dtype": "float32", "workers": 1 if what == "store" else 2}
    job = parse_job(
        small_job_config(folder, 5, 3, autoencoder="tests.support.fake_autoencoders:leaking_memory", compute=compute)
    )
    if what != "store":
        Image.new("RGB", (48, 36), (9, 9, 9)).save(folder / what / "poison.png")
    result = run_job(job, RunOptions(allow_code=True))
    rows = read_manifest(RunPaths(result.run)).to_pylist()
    sys.stdout.write(json.dumps([(row["file_name"], row["error_code"]) for row in rows]) + "\n")
    del held


def start_with_little_memory():
    """Start a Ray that kills workers once a few GiB more are used than now."""
    import ray
    from ray._private.utils import get_system_memory, get_used_memory

    threshold = (get_used_memory() + FREE_BYTES) / get_system_memory()
    watching = {"memory_usage_threshold": threshold, "memory_monitor_refresh_ms": 100}
    ray.init("local", num_cpus=2, include_dashboard=False, object_store_memory=STORE_BYTES, _system_config=watching)


def start_with_full_store():
    """Start a Ray whose object store is full and may not spill; returns what fills it."""
    import numpy as np
    import ray

    config = {"automatic_object_spilling_enabled": False, "oom_grace_period_s": 0}
    ray.init("local", num_cpus=2, include_dashboard=False, object_store_memory=STORE_BYTES, _system_config=config)
    held = []
    with contextlib.suppress(ray.exceptions.ObjectStoreFullError):
        for _ in range(2 * STORE_BYTES // 2**20):  # what does not fit goes to the disk
            held.append(ray.put(np.zeros(2**20, np.uint8)))
    assert len(held) * 2**20 > 0.9 * STORE_BYTES
    return held


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
