"""`deploy/slurm.sbatch` on a Slurm of one node: pre-emption, the time limit and the exit status."""

import contextlib
import getpass
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.maintenance.verify import verify_run
from pipeline.progress import NullProgress
from pipeline.runs import RunPaths, read_manifest
from tests.support.driver_processes import PATIENCE_S, write_job
from tests.support.free_ports import find_free_ports

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "deploy" / "slurm.sbatch"
N_PHOTOS, N_PREEMPTIONS = 60, 5

slurm_only = pytest.mark.skipif(not shutil.which("slurmctld"), reason="Slurm is not installed: apt install slurm-wlm")


def test_script_is_valid_and_says_what_to_fill_in():
    assert subprocess.run(["bash", "-n", SCRIPT], check=False).returncode == 0
    text = SCRIPT.read_text()
    settings = re.findall(r"^#+SBATCH --([\w-]+)(?:=(\S+))?(.*)$", text, re.MULTILINE)
    marked = {name for name, _, comment in settings if "# HERE" in comment}
    assert marked == {"nodes", "cpus-per-task", "gpus-per-node", "time"}
    assert {name for name, _, _ in settings} >= {"requeue", "signal"}
    assert "RAY_AUTH_MODE=token" in text


class Slurm:
    """A controller and a node with two cores, on loopback."""

    def __init__(self, folder, environment):
        self.folder, self._environment = folder, environment

    def call(self, *words):
        return subprocess.run(
            words, cwd=self.folder, env=self._environment, check=True, capture_output=True, text=True
        ).stdout

    def submit(self, *words):
        """Submit the script with arguments of `deepot run`; returns the number of the job."""
        return self.call("sbatch", "--parsable", "--cpus-per-task=2", *words).strip()

    def state(self, job):
        """The state, the number of restarts and the exit status of a job."""
        shown = self.call("scontrol", "show", "job", job)
        names = ("JobState", "Restarts", "ExitCode")
        state, restarts, status = (re.search(rf"{name}=(\w+)", shown)[1] for name in names)
        return state, int(restarts), int(status)

    def wait(self, condition):
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            log = (self.folder / "controller.log").read_text()
            assert time.monotonic() < deadline, self.call("squeue") + log[-2000:]
            time.sleep(0.1)

    def start_requeued(self, job, restarts):
        """Wait until a job is queued again, and let it start at once instead of after two minutes."""
        self.wait(lambda: self.state(job)[:2] == ("PENDING", restarts))
        self.call("scontrol", "update", f"jobid={job}", "StartTime=now")


@pytest.fixture
def slurm(tmp_path):
    controller, node = find_free_ports(2)
    name = socket.gethostname().partition(".")[0]
    (tmp_path / "state").mkdir()
    (tmp_path / "spool").mkdir()
    settings = f"""
ClusterName=test
SlurmctldHost={name}(127.0.0.1)
SlurmUser={getpass.getuser()}
SlurmdUser={getpass.getuser()}
AuthType=auth/none
CredType=cred/none
SlurmctldPort={controller}
SlurmdPort={node}
StateSaveLocation={tmp_path}/state
SlurmdSpoolDir={tmp_path}/spool
SlurmctldPidFile={tmp_path}/controller.pid
SlurmdPidFile={tmp_path}/node.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=2
MpiDefault=none
SchedulerParameters=sched_interval=1,bf_interval=1
NodeName={name} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 PreemptMode=REQUEUE
PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF
"""
    (tmp_path / "slurm.conf").write_text(settings)
    command = tmp_path / "bin" / "deepot"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m jobs.cli "$@" --allow-code\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    environment = os.environ | {
        "SLURM_CONF": str(tmp_path / "slurm.conf"),
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    with contextlib.ExitStack() as stack:
        for program, log in (("slurmctld", "controller.log"), ("slurmd", "node.log")):
            file = stack.enter_context((tmp_path / log).open("w"))
            process = subprocess.Popen([program, "-D"], env=environment, stdout=file, stderr=file)
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
        found = Slurm(tmp_path, environment)
        found.wait(lambda: subprocess.run(["sinfo", "-h", "-t", "idle"], env=environment, capture_output=True).stdout)
        yield found


def count_commits(folder):
    return sum(1 for _ in folder.glob("**/commits/*"))


def check_all_rows_are_there(folder):
    (run_json,) = folder.rglob("run.json")
    run = RunPaths(str(run_json.parent))
    names = read_manifest(run)["file_name"].to_pylist()
    assert len(names) == len(set(names)) == N_PHOTOS
    assert verify_run(run, NullProgress()).findings == ()


@slurm_only
@pytest.mark.soak
def test_preempted_jobs_go_on_and_lose_no_row(slurm, tmp_path):
    job_file = write_job(tmp_path / "job", N_PHOTOS, "slow")
    job = slurm.submit("--time=60", SCRIPT, job_file, "--json")
    for number in range(1, N_PREEMPTIONS + 1):
        done = count_commits(tmp_path / "job")
        slurm.wait(lambda done=done: count_commits(tmp_path / "job") > done)
        assert slurm.state(job)[0] == "RUNNING"
        other = slurm.submit("--partition=high", "--exclusive", "--wrap=true")
        slurm.start_requeued(job, number)
        slurm.wait(lambda other=other: slurm.state(other)[0] == "COMPLETED")
    slurm.wait(lambda: slurm.state(job)[0] == "COMPLETED")
    assert slurm.state(job) == ("COMPLETED", N_PREEMPTIONS, 0)
    check_all_rows_are_there(tmp_path / "job")


@slurm_only
@pytest.mark.soak
def test_job_is_queued_again_before_its_time_limit(slurm, tmp_path):
    job_file = write_job(tmp_path / "job", N_PHOTOS, "slow")
    job = slurm.submit("--time=1", "--signal=B:USR1@50", SCRIPT, job_file, "--json")
    slurm.start_requeued(job, 1)
    assert "the time limit is near: the job is queued again" in (tmp_path / f"slurm-{job}.out").read_text()
    slurm.call("scontrol", "update", f"jobid={job}", "TimeLimit=60")
    slurm.wait(lambda: slurm.state(job)[0] == "COMPLETED")
    check_all_rows_are_there(tmp_path / "job")


@slurm_only
@pytest.mark.soak
def test_exit_status_is_that_of_deepot(slurm, tmp_path):
    job = slurm.submit(SCRIPT, str(tmp_path / "missing.yaml"))
    slurm.wait(lambda: slurm.state(job)[0] == "FAILED")
    assert slurm.state(job)[2] == 2
    assert "missing.yaml" in (tmp_path / f"slurm-{job}.out").read_text()
