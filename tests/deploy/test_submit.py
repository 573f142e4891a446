"""`ray job` on a cluster on loopback with its job server: submit, follow, exit status, logs, status, stop."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from tests.support.free_ports import find_free_ports
from tests.support.photos import small_job_config

ROOT = Path(__file__).resolve().parents[2]
RAY = [sys.executable, "-m", "ray.scripts.scripts"]
START_TIMEOUT_S = 600  # a busy machine takes minutes to start Ray; only a server that never starts reaches it
TOKEN = secrets.token_hex(32)
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
    gcs, dashboard, client, agent = find_free_ports(4)
    session = f"/tmp/deepot-{gcs}"  # sockets are in it, whose paths must be short
    start = [*RAY, "start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={gcs}"]
    start += [f"--dashboard-port={dashboard}", "--dashboard-host=127.0.0.1", f"--ray-client-server-port={client}"]
    start += [f"--dashboard-agent-listen-port={agent}"]  # the default one may be that of another Ray's agent
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


def _get(url):
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def _wait_for(url, process, log):
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        try:
            return _get(url)
        except OSError:
            time.sleep(0.2)


def ray_job(url, command, *arguments):
    """`ray job COMMAND` at that server; one that has only just started has nobody yet to give a job to."""
    line = [*RAY, "job", command, f"--address={url}", *arguments]
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        done = subprocess.run(line, cwd=ROOT, env=os.environ | SETTINGS, capture_output=True, text=True)
        if "No available agent" not in done.stdout + done.stderr or time.monotonic() > deadline:
            return done
        time.sleep(1)


def _job_until(url, job, *states):
    deadline = time.monotonic() + START_TIMEOUT_S
    while (found := _get(f"{url}/api/jobs/{job}")["status"]) not in states:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


@pytest.mark.timeout(900)  # starts Ray and its job server, which takes long on a busy machine
def test_ray_job_submits_follows_and_stops_jobs(server, tmp_path):
    """One that is followed to its end, one that cannot run, and one that is submitted without waiting and stopped."""
    _, url = server
    (tmp_path / "jobs").mkdir()
    compute = {"images_per_shard": 2, "dtype": "float32", "max_workers": 1}
    autoencoder = "tests.support.fake_autoencoders:shuffle_with_key"
    content = small_job_config(tmp_path, 4, compute=compute, autoencoder=autoencoder)
    (tmp_path / "jobs" / "scans.yaml").write_text(yaml.safe_dump(content))
    deepot = [sys.executable, "-m", "deepot_launcher", "run", "--address", "auto", "--json"]

    at_work = ["--no-wait", "--submission-id=at-work", "--", "sh", "-c", "echo at work; exec sleep 3000"]
    assert ray_job(url, "submit", *at_work).returncode == 0
    _job_until(url, "at-work", "RUNNING")  # so `--no-wait` did not wait for its end

    runtime_env = json.dumps({"env_vars": {"ARCHIVE_KEY": "of the job"}})  # for the driver and its workers
    here = ["--submission-id=followed", f"--working-dir={tmp_path / 'jobs'}", f"--runtime-env-json={runtime_env}", "--"]
    with ThreadPoolExecutor(1) as beside:
        refusing = beside.submit(ray_job, url, "submit", "--", *deepot, str(tmp_path / "no.yaml"))
        done = ray_job(url, "submit", *here, *deepot, "scans.yaml", "--allow-code")
        refused = refusing.result()
    assert done.returncode == 0, done.stdout + done.stderr
    record = next(json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"run"'))
    assert (record["ok"], record["failed"]) == (4, 0)
    assert '"ok": 4' in ray_job(url, "logs", "followed").stdout

    assert refused.returncode == 1
    assert "there is no job file" in refused.stdout + refused.stderr

    assert "RUNNING" in (status := ray_job(url, "status", "at-work")).stdout + status.stderr
    assert ray_job(url, "stop", "at-work").returncode == 0
    states = {each["submission_id"]: each["status"] for each in _get(f"{url}/api/jobs/") if each["submission_id"]}
    assert (states.pop("at-work"), states.pop("followed"), *states.values()) == ("STOPPED", "SUCCEEDED", "FAILED")
