"""Signals to drivers with local workers, and to their workers: the next run finishes the rest, no process stays."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from PIL import Image

from tests.support.driver_processes import (
    PATIENCE_S,
    check_run,
    descendants,
    fork_drivers,
    read_commits,
    run_driver_to_end,
    start_driver,
    wait_until,
    write_job,
)
from tests.support.soak import FaultTally

pytestmark = [
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are found in /proc"),
]
ROOT = Path(__file__).resolve().parents[2]
IMAGES, WORKERS = 12, 2
SLOW = {
    "autoencoder": "slow",
    "compute": {"images_per_shard": 1, "dtype": "float32", "workers": WORKERS},
}


@pytest.fixture(scope="module")
def forks():
    return fork_drivers()


def is_running(pid):
    """Whether a process exists and has not ended; who waits for it is not this test's matter."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def wait_for_end(pids):
    deadline = time.monotonic() + PATIENCE_S
    while any(map(is_running, pids)):
        assert time.monotonic() < deadline, "processes have stayed"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_driver_that_is_stopped_leaves_no_process_and_the_next_one_does_the_rest(forks, tmp_path, number, exit_code):
    job = write_job(tmp_path, IMAGES, **SLOW)
    with start_driver(forks, job) as driver:
        wait_until(lambda: len(read_commits(tmp_path)) >= 2, driver)
        workers = [*descendants(driver.pid)]
        assert len(workers) == WORKERS + 1, "the workers and the process that forks them"
        os.kill(driver.pid, number)
        driver.join(PATIENCE_S)
        assert driver.exitcode == exit_code
    wait_for_end(workers)
    before = read_commits(tmp_path)
    assert 2 <= len(before) < IMAGES
    assert not list(tmp_path.rglob("_SUCCESS.json"))
    run_driver_to_end(forks, job)
    check_run(FaultTally(""), tmp_path / "enhanced")
    assert before.items() <= read_commits(tmp_path).items(), "committed shards were not processed again"


def test_workers_that_are_killed_are_replaced(forks, tmp_path):
    with start_driver(forks, write_job(tmp_path, IMAGES, **SLOW)) as driver:
        for n_commits in (1, 4):
            wait_until(lambda n_commits=n_commits: len(read_commits(tmp_path)) >= n_commits, driver)
            worker = max(descendants(driver.pid))
            os.kill(worker, signal.SIGKILL)
        driver.join(PATIENCE_S)
        assert driver.exitcode == 0
    check_run(FaultTally(""), tmp_path / "enhanced")


def test_run_whose_fork_server_is_killed_stops_with_a_clear_error_and_resumes(forks, tmp_path):
    job = write_job(tmp_path, IMAGES, **SLOW)
    with start_driver(forks, job) as driver:
        wait_until(lambda: read_commits(tmp_path), driver)
        server = min(descendants(driver.pid))
        workers = [pid for pid in descendants(driver.pid) if pid != server]
        os.kill(server, signal.SIGKILL)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        driver.join(PATIENCE_S)
        assert driver.exitcode == 2
    run_driver_to_end(forks, job)
    check_run(FaultTally(""), tmp_path / "enhanced")


COMPUTE_FIRST = """
import sys, torch
from jobs.cli import main
from pipeline.config import load_job
from pipeline.workers import load_models
autoencoder = load_models(load_job(sys.argv[1]), False).autoencoder
torch.set_num_threads(2)
autoencoder.encode(torch.rand(1, 3, 96, 96))
sys.exit(main(["fit", sys.argv[1]]))
"""


def test_command_in_a_process_that_has_computed_ends(tmp_path):
    """Neither its threads nor a GPU in use survive a fork; a worker must not wait for them."""
    job = Path(write_job(tmp_path, 2, compute={"threads": 2, "workers": 1, "dtype": "float32", "pool": "local"}))
    changes = {"autoencoder": "embedded", "transport": {"patch_size": 1}}  # the map's size is not this test's matter
    job.write_text(yaml.safe_dump(yaml.safe_load(job.read_text()) | changes))
    for path in (tmp_path / "natural").rglob("*.png"):
        Image.effect_noise((96, 96), 50).convert("RGB").save(path)
    command = [sys.executable, "-c", COMPUTE_FIRST, str(job)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, cwd=ROOT)
    assert process.returncode == 0, process.stderr
