"""A user without an entry in /etc/passwd whose home folder cannot be written, as `docker run -u` and OpenShift have."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.photos import small_job_config

ROOT = Path(__file__).resolve().parents[2]
UID = 12345
# reads what root installed, as every user of a container may, and writes nothing but its own
AS_USER = ["setpriv", f"--reuid={UID}", "--regid=0", "--clear-groups", "--bounding-set=-all,+dac_read_search"]
AS_USER += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
RUN_IN_PROCESS = """
import sys
from pipeline.config import load_job
from tests.support.in_process_pool import run_in_process
print(run_in_process(load_job(sys.argv[1])).ok)
"""
RUN_ON_RAY = """
import json, os, sys
import psutil
from jobs.cli import main
from pipeline.cluster import ray_session
with ray_session():
    status = main(["run", sys.argv[1], "--allow-code"])
    token = os.environ["RAY_AUTH_TOKEN"]
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    connections = [each for process in processes for each in process.net_connections("tcp")]
    shown = any(token in argument for process in processes for argument in process.cmdline())
listening = sorted({each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN})
print(json.dumps({"status": status, "listening": listening, "token": token, "shown": shown}))
"""


@pytest.fixture
def folder(tmp_path):
    """A folder that the user may write, with a job over two photos."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root with setpriv can run a program as another user")
    if subprocess.run([*AS_USER, "true"], capture_output=True).returncode:
        pytest.skip("setpriv may not change the user here")
    content = small_job_config(tmp_path, 2, 2, compute={"workers": 1, "dtype": "float32"})
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(content))
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, UID, 0)
    return tmp_path


def run_as_user(script, folder, home):
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    if home is not None:
        environment["HOME"] = home
    return subprocess.run(
        [*AS_USER, sys.executable, "-c", script, str(folder / "job.yaml")],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("home", [None, "/nonexistent/home"])
def test_job_needs_no_home_folder(folder, home):
    done = run_as_user(RUN_IN_PROCESS, folder, home)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["2"]), done.stderr


@pytest.mark.timeout(1200)  # far more than a busy machine needs
def test_run_on_ray_keeps_its_token_in_the_environment_and_listens_on_loopback_only(folder):
    done = run_as_user(RUN_ON_RAY, folder, "/")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["status"] == 0, done.stderr
    assert found["listening"] and {each.removeprefix("::ffff:") for each in found["listening"]} <= {"127.0.0.1", "::1"}
    assert (len(found["token"]), found["shown"]) == (64, False)
    assert not Path("/.ray").exists()
    assert all(found["token"] not in text for text in (done.stderr, *done.stdout.splitlines()[:-1]))
