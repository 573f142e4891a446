"""Memory that is short: one image that takes more than there is, and an object store that others have filled."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.soak import FaultTally

ROOT = Path(__file__).resolve().parents[2]
ROOM_BYTES = 4 * 2**30  # for Ray and its workers, before it must find some to kill
STORE_BYTES = 80 * 2**20  # the least that Ray takes


def in_own_process(folder, what):
    """File names and error codes of the rows: a process has one Ray session, and this one's is unlike others."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, "-m", "tests.scenarios.test_memory_pressure", str(folder), what]
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250)
    assert process.returncode == 0, process.stdout + process.stderr
    return json.loads(process.stdout.splitlines()[-1])


def counted(tally, rows, images):
    """The error code of each photo; the tally learns what rows are missing, or too many."""
    codes = dict(rows)
    tally.injected += 1
    tally.lost += images - len(codes)
    tally.doubled += len(rows) - len(codes)
    assert len(rows) == len(codes)
    return codes


@pytest.mark.soak
@pytest.mark.parametrize(("place", "what"), [("restored", "an image"), ("natural", "a calibration photo")])
def test_an_image_that_exceeds_the_memory_costs_its_own_row(tmp_path, record_fault, place, what):
    """Ray kills its worker before the system does, time and again."""
    with record_fault(f"memory exceeded by {what}") as tally:
        codes = counted(tally, in_own_process(tmp_path, place), 5 + (place == "restored"))
        assert codes.pop("poison.png", None) == ("out_of_memory" if place == "restored" else None)
        assert set(codes.values()) == {None} and len(codes) == 5


def full_store(tally, folder):
    """Only small things go through Ray, and these not through its store."""
    codes = counted(tally, in_own_process(folder, "store"), 5)
    assert set(codes.values()) == {None} and len(codes) == 5


@pytest.mark.soak
def test_a_full_object_store_again_and_again(tmp_path, record_fault):
    with record_fault("the object store is full") as tally:
        for turn in range(2):
            full_store(tally, tmp_path / str(turn))


def test_a_full_object_store_is_none_of_our_business(tmp_path):
    full_store(FaultTally(""), tmp_path)


def main(folder, what):
    """Run a job on a Ray that is short of something; print names and error codes of its rows."""
    from PIL import Image

    from pipeline.config.loading import parse_job
    from pipeline.runs.manifest import read_manifest
    from pipeline.runs.paths import RunPaths
    from pipeline.stages.driver import RunOptions, run_job
    from tests.support.photos import small_job_config

    held = filled_store() if what == "store" else little_memory()
    compute = {"images_per_shard": 2, "dtype": "float32", "workers": 1 if what == "store" else 2}
    job = parse_job(
        small_job_config(folder, 5, 3, autoencoder="tests.support.fake_autoencoders:leaking_memory", compute=compute)
    )
    if what != "store":
        Image.new("RGB", (48, 36), (9, 9, 9)).save(folder / what / "poison.png")
    result = run_job(job, RunOptions(allow_code=True))
    rows = read_manifest(RunPaths(result.run)).to_pylist()
    sys.stdout.write(json.dumps([(row["file_name"], row["error_code"]) for row in rows]) + "\n")
    del held


def little_memory():
    """A Ray that begins to kill workers not far above what the machine uses now."""
    import ray
    from ray._private.utils import get_system_memory, get_used_memory

    threshold = (get_used_memory() + ROOM_BYTES) / get_system_memory()
    watching = {"memory_usage_threshold": threshold, "memory_monitor_refresh_ms": 100}
    ray.init("local", num_cpus=2, include_dashboard=False, object_store_memory=STORE_BYTES, _system_config=watching)


def filled_store():
    """A Ray whose object store has no byte left, and may not spill what it holds; that."""
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
