"""`ray job submit` for real: a cluster on loopback with its job server; submit, follow, exit status, logs."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import yaml

from tests.photos import small_job

ROOT = Path(__file__).resolve().parents[2]
RAY = [sys.executable, "-m", "ray.scripts.scripts"]
TOKEN = secrets.token_hex(32)  # without one the job server answers nobody
SETTINGS = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": TOKEN,
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYTHONPATH": str(ROOT),
    "DEEPOT_ALLOW_CODE": "1",
}


@pytest.fixture
def server(tmp_path):
    """A Ray cluster of one node in a process group of its own; yields its GCS address and the job server's."""
    gcs, dashboard, client = _free_ports(3)
    session = f"/tmp/deepot-{gcs}"  # sockets are in it, whose paths must be short
    start = [*RAY, "start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={gcs}"]
    start += [f"--dashboard-port={dashboard}", "--dashboard-host=127.0.0.1", f"--ray-client-server-port={client}"]
    start += ["--num-cpus=2", "--object-store-memory=100000000", f"--temp-dir={session}"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(start, env=os.environ | SETTINGS, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_for(f"http://127.0.0.1:{dashboard}/api/version", process, tmp_path / "log")
        yield f"127.0.0.1:{gcs}", f"http://127.0.0.1:{dashboard}"
    finally:
        process.terminate()  # `ray start --block` takes its own processes with it
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(5)
        shutil.rmtree(session, ignore_errors=True)


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _get(url):
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def _wait_for(url, process, log):
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        try:
            return _get(url)
        except OSError:
            time.sleep(0.2)


def submit(url, *command):
    """Submit a job and follow it; a server that has only just started has nobody yet to give it to."""
    job = [*RAY, "job", "submit", f"--address={url}", "--", *command]
    deadline = time.monotonic() + 120
    while True:
        done = subprocess.run(job, cwd=ROOT, env=os.environ | SETTINGS, capture_output=True, text=True, timeout=120)
        if "No available agent" not in done.stdout + done.stderr or time.monotonic() > deadline:
            return done
        time.sleep(1)


@pytest.mark.soak
def test_submit_follow_exit_status_and_logs(server, tmp_path):
    address, url = server
    compute = {"shard_images": 2, "dtype": "float32", "max_actors": 1}
    content = small_job(tmp_path, 4, compute=compute)
    job = tmp_path / "job.yaml"
    job.write_text(yaml.safe_dump(content))
    command = [sys.executable, "-m", "jobs.cli", "run"]
    done = submit(url, *command, str(job), "--address", address, "--allow-code", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = next(json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"run"'))
    assert (told["ok"], told["failed"]) == (4, 0)
    refused = submit(url, *command, str(tmp_path / "no.yaml"), "--address", address)
    assert refused.returncode == 1
    assert "there is no job file" in refused.stdout + refused.stderr
    listed = [each for each in _get(f"{url}/api/jobs/") if each["submission_id"]]
    assert sorted(each["status"] for each in listed) == ["FAILED", "SUCCEEDED"]
    (first,) = [each["submission_id"] for each in listed if each["status"] == "SUCCEEDED"]
    assert '"ok": 4' in _get(f"{url}/api/jobs/{first}/logs")["logs"]
