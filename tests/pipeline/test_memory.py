"""One image that takes more memory than there is: Ray kills its worker before the system does, time and again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOM_BYTES = 4 * 2**30  # for Ray and its workers, before it must find some to kill


@pytest.mark.soak
@pytest.mark.parametrize("place", ["restored", "natural"])
def test_an_image_that_exceeds_the_memory_costs_its_own_row(tmp_path, record, place):
    """In a process of its own, because a process has one Ray session."""
    what = {"restored": "an image", "natural": "a calibration photo"}[place]
    with record(f"memory exceeded by {what}") as tally:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
        command = [sys.executable, "-m", "tests.pipeline.test_memory", str(tmp_path), place]
        process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250)
        assert process.returncode == 0, process.stdout + process.stderr
        codes = json.loads(process.stdout.splitlines()[-1])
        tally.injected, tally.lost = 1, 5 + (place == "restored") - len(codes)
        assert codes.pop("poison.png", None) == ("out_of_memory" if place == "restored" else None)
        assert set(codes.values()) == {None} and len(codes) == 5


def main(folder, place):
    """Run a job on a Ray that has little memory left; print the error code of each row."""
    import ray
    from PIL import Image
    from ray._private.utils import get_system_memory, get_used_memory

    from pipeline.config import parse_job
    from pipeline.layout import Run
    from pipeline.manifest import read_manifest
    from pipeline.run import How, run_job
    from tests.photos import small_job

    threshold = (get_used_memory() + ROOM_BYTES) / get_system_memory()
    watching = {"memory_usage_threshold": threshold, "memory_monitor_refresh_ms": 100}
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=80 * 2**20, _system_config=watching)
    compute = {"shard_images": 2, "dtype": "float32", "actors": 2}
    job = parse_job(small_job(folder, 5, 3, vae="tests.codecs:swelling", compute=compute))
    Image.new("RGB", (48, 36), (9, 9, 9)).save(folder / place / "poison.png")
    result = run_job(job, How(allow_code=True))
    rows = read_manifest(Run(result.run)).to_pylist()
    sys.stdout.write(json.dumps({row["file_name"]: row["error_code"] for row in rows}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
