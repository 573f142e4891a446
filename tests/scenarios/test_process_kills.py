"""kill -9 of drivers, workers and nodes; whatever is killed and when, the next run finishes the rest.

Drivers are real ones, each a process of its own on one small cluster that outlives them. They are forked from a server
that has imported everything, so that one is up in a second. Random moments are shares of the time that a run still
needs, as measured on this machine, and several drivers of one run are killed before it may finish.
"""

import contextlib
import io
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from pipeline.maintenance.orphans import find_orphans, remove_orphans
from pipeline.maintenance.verify import VerificationReport, verify_run
from pipeline.progress import NullProgress
from pipeline.runs.manifest import read_manifest
from pipeline.runs.paths import RunPaths
from pipeline.runs.plan import read_plan
from pipeline.storage.folders import list_names
from tests.conftest import s3_settings
from tests.support.photos import make_photo, small_job_config
from tests.support.s3_fault_proxy import FaultProxy
from tests.support.soak import FaultTally

pytestmark = pytest.mark.timeout(600)
ROOT = Path(__file__).resolve().parents[2]
SEEDS = range(*(int(part) for part in os.environ.get("SOAK_SEEDS", "0:50").split(":")))
KILLS = 5  # of a run's drivers, before one may finish it
BOUNDARIES = ["run.json", "plan-0001.parquet", "both-0001.parquet", "00000.safetensors", "moments/basis/*.json"]
BOUNDARIES += ["map-0001.safetensors", "00000.json", "_SUCCESS.json"]  # after it only the report is written


@pytest.fixture(scope="module")
def proxy(s3):
    """Before the S3 server, for jobs on the cluster; breaks nothing unless it is told to."""
    with FaultProxy(int(s3["AWS_ENDPOINT_URL"].rpartition(":")[2])) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def cluster(proxy):
    """Three nodes on this machine, whose S3 is the proxy's; drivers are forked with the same environment."""
    import ray
    from ray.cluster_utils import Cluster

    from pipeline.cluster import session as of_pipeline

    with pytest.MonkeyPatch.context() as patch:
        for key, value in (of_pipeline.RAY_ENVIRONMENT | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}).items():
            patch.setenv(key, value)
        for key, value in through(proxy).items():
            patch.setenv(key, value)
        sizes = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
        nodes = Cluster(initialize_head=True, head_node_args=sizes | {"include_dashboard": False})
        nodes.sizes = sizes
        for _ in range(2):
            nodes.add_node(**sizes)
        nodes.wait_for_nodes()
        yield nodes
        ray.shutdown()
        nodes.shutdown()


@pytest.fixture(scope="module")
def forks():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["jobs.cli", "ray", "tests.support.fake_autoencoders"])
    return context


@pytest.fixture
def job_file(tmp_path):
    return lambda images=12, autoencoder="shuffle", **changes: written(tmp_path, images, autoencoder, **changes)


def written(folder, images=12, autoencoder="shuffle", **changes):
    """A job file over photos in a folder."""
    compute = {"images_per_shard": 2, "dtype": "float32", "workers": 1}
    given = {"autoencoder": f"tests.support.fake_autoencoders:{autoencoder}", "compute": compute} | changes
    folder.mkdir(exist_ok=True)
    (folder / "job.yaml").write_text(yaml.safe_dump(small_job_config(folder, images, 3, **given)))
    return str(folder / "job.yaml")


def drive(job, address):
    """The body of a driver's process."""
    from jobs.cli import main

    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os._exit(main(["run", job, "--allow-code", "--address", address, "--json"]))


@contextlib.contextmanager
def driver(forks, job, cluster):
    process = forks.Process(target=drive, args=(job, cluster.address), daemon=True)
    process.start()
    try:
        yield process
    finally:
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
        process.join()


def finish(forks, job, cluster):
    with driver(forks, job, cluster) as process:
        process.join(150)
        assert process.exitcode == 0


def account(tally, folder):
    """Every input has one row, every result is what its row says, nothing is half there."""
    (about,) = Path(folder).rglob("run.json")
    run = RunPaths(str(about.parent))
    rows = Counter(row["file_name"] for row in read_manifest(run).to_pylist())
    planned = [entry.key for shard in read_plan(run) for entry in shard.entries]
    tally.lost += len(set(planned) - set(rows))
    tally.doubled += sum(count > 1 for count in rows.values())
    assert set(rows) == set(planned) and set(rows.values()) == {1}
    assert verify_run(run, NullProgress()).findings == ()
    success = json.loads(Path(run.success_marker).read_bytes())
    assert (success["inputs"], success["ok"]) == (len(planned), len(planned))
    return run


def commits(folder):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("commits/*.json")}


def outcome(run, folder):
    """Rows but for what every run has of its own, and the photos."""
    rows = read_manifest(run).to_pylist()
    own = ("attempt", "output_uri", "run_id", "config_sha256")
    kept = [key for key in rows[0] if key not in own and not key.startswith("seconds_")]
    told = {row["file_name"]: {key: row[key] for key in kept} for row in rows}
    return told, {key: (folder / "enhanced" / key).read_bytes() for key in told}


def lose_a_node(cluster):
    """kill -9 of the raylet of a node that is not the head; another node joins."""
    victim = min(cluster.worker_nodes, key=lambda node: node.node_ip_address + node.raylet_socket_name)
    os.kill(victim.all_processes["raylet"][0].process.pid, signal.SIGKILL)
    cluster.add_node(**cluster.sizes)
    return victim


def until(condition, process, limit_s=100):
    deadline = time.monotonic() + limit_s
    while not condition() and process.is_alive():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.005)


@dataclass
class Pace:
    """How long runs take that nobody kills: from nothing, from a map on, and with nothing left to do."""

    whole_s: float
    mapped_s: float
    idle_s: float

    def left_s(self, folder):
        """How long the next driver of a run will take, going by what the run has in a folder."""
        if not any(folder.rglob("map-0001.safetensors")):
            return self.whole_s
        images = len([*(folder / "restored").rglob("*.png")])
        committed = 2 * len([*folder.rglob("commits/*.json")])
        return self.idle_s + (self.mapped_s - self.idle_s) * (1 - committed / images)


@pytest.fixture(scope="module")
def pace(cluster, forks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pace")

    def timed_s():
        started = time.monotonic()
        finish(forks, written(folder), cluster)
        return time.monotonic() - started

    timed_s()  # the first one warms the cluster up
    shutil.rmtree(folder / "enhanced")
    whole_s = timed_s()
    idle_s = timed_s()
    for path in folder.rglob("commits/*.json"):
        path.unlink()
    return Pace(whole_s, timed_s(), idle_s)


def killed(process):
    """kill -9 of a driver; whether it was still at work."""
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    return process.exitcode == -signal.SIGKILL


@pytest.mark.soak
@pytest.mark.parametrize("seeds", [SEEDS[at : at + KILLS] for at in range(0, len(SEEDS), KILLS)], ids=str)
def test_drivers_are_killed_at_random_moments(cluster, forks, pace, tmp_path, record_fault, seeds):
    """Each seed kills one: where a driver was done sooner than expected, the seed gets one of a new run."""
    runs = [tmp_path / "0"]
    with record_fault("kill -9 of the driver at a random moment") as tally:
        for seed in seeds:
            share = random.Random(seed).uniform(0, 0.95)
            for _ in range(20):
                with driver(forks, written(runs[-1]), cluster) as process:
                    process.join(share * pace.left_s(runs[-1]))
                    if process.is_alive() and killed(process):
                        tally.injected += 1
                        break
                assert process.exitcode == 0
                runs.append(tmp_path / str(len(runs)))
        assert tally.injected == len(seeds)
        for folder in runs:
            finish(forks, written(folder), cluster)
            account(tally, folder / "enhanced")


@pytest.mark.soak
def test_drivers_are_killed_at_every_stage_boundary(cluster, forks, job_file, tmp_path, record_fault):
    """Each as soon as a stage has written its last file; the next one goes on from there."""
    job = job_file()
    with record_fault("kill -9 of the driver at a stage boundary") as tally:
        for name in BOUNDARIES:
            with driver(forks, job, cluster) as process:
                until(lambda name=name: any((tmp_path / "enhanced").rglob(name)), process)
                tally.injected += killed(process)
        assert tally.injected == len(BOUNDARIES)
        finish(forks, job, cluster)
        account(tally, tmp_path / "enhanced")


def workers():
    """Processes of this cluster's actors."""
    found = []
    for pid in children(os.getpid()):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::WorkerActor"):
                found.append(pid)
    return found


def kill_a_worker():
    """kill -9 of one of them; whether there was one: while it is replaced there may be none."""
    for pid in workers():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
    return False


def children(pid):
    """All processes below one."""
    for path in Path("/proc").glob(f"{pid}/task/*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, path.read_text().split()):
                yield child
                yield from children(child)


@pytest.mark.soak
def test_workers_are_killed(cluster, forks, job_file, tmp_path, record_fault):
    job = job_file(images=24, autoencoder="slow", compute={"images_per_shard": 2, "dtype": "float32", "workers": 2})
    with record_fault("kill -9 of a worker") as tally:
        with driver(forks, job, cluster) as process:
            for least in (1, 4):
                until(lambda least=least: len([*(tmp_path / "enhanced").rglob("commits/*.json")]) >= least, process)
                until(kill_a_worker, process)
                tally.injected += process.is_alive()
            assert tally.injected == 2
            process.join(150)
            assert process.exitcode == 0
        account(tally, tmp_path / "enhanced")


@pytest.mark.soak
def test_a_node_is_lost_and_another_joins(cluster, forks, job_file, tmp_path, record_fault):
    job = job_file(images=16, autoencoder="slow", compute={"images_per_shard": 2, "dtype": "float32", "workers": 3})
    with (
        record_fault("kill -9 of a node's raylet, another node added") as tally,
        driver(forks, job, cluster) as process,
    ):
        until(lambda: commits(tmp_path / "enhanced"), process)
        assert process.is_alive()
        victim = lose_a_node(cluster)
        tally.injected += 1
        process.join(150)
        assert process.exitcode == 0
        account(tally, tmp_path / "enhanced")
        cluster.remove_node(victim, allow_graceful=False)  # what is left of it


def test_a_driver_and_a_node_are_killed(cluster, forks, tmp_path):
    """In the middle of apply; after that the files and rows are those of a run that nobody disturbed."""
    changes = {"autoencoder": "slow", "compute": {"images_per_shard": 2, "dtype": "float32", "workers": 3}}
    job, folder = written(tmp_path / "disturbed", 24, **changes), tmp_path / "disturbed"
    with driver(forks, job, cluster) as process:
        until(lambda: len(commits(folder)) >= 2, process)
        assert killed(process)
    before = commits(folder)
    assert 2 <= len(before) < 12
    assert not list(folder.rglob("_SUCCESS.json"))
    with driver(forks, job, cluster) as process:
        until(lambda: len(commits(folder)) > len(before), process)
        assert process.is_alive()
        victim = lose_a_node(cluster)
        process.join(150)
        assert process.exitcode == 0
    cluster.remove_node(victim, allow_graceful=False)
    run = account(FaultTally(""), folder / "enhanced")
    assert before.items() <= commits(folder).items(), "committed shards were not done again"
    for _ in remove_orphans(find_orphans(run, time.time() + 1)):
        pass
    assert not list(folder.rglob("*.partial")), "what was half written is hidden, and gc takes it away"

    quiet = tmp_path / "quiet"
    changes |= {
        "input": {"images": f"{folder}/restored"},
        "calibration": {"reference": f"{folder}/natural", "degradation": "blur:sigma=1"},
    }
    finish(forks, written(quiet, 24, **changes), cluster)
    assert outcome(account(FaultTally(""), quiet / "enhanced"), quiet) == outcome(run, folder)


def two_drivers(tally, forks, cluster, folder, images):
    """At once on one run; and a third one for what they may have left."""
    job = written(folder, images)
    with driver(forks, job, cluster) as one, driver(forks, job, cluster) as other:
        tally.injected += 1
        one.join(150)
        other.join(150)
        assert {one.exitcode, other.exitcode} <= {0, 2}, "either is done, or says why it stopped"
    finish(forks, job, cluster)
    account(tally, folder / "enhanced")


@pytest.mark.soak
def test_two_drivers_by_mistake(cluster, forks, tmp_path, record_fault):
    with record_fault("two drivers on one run") as tally:
        for turn in range(3):
            two_drivers(tally, forks, cluster, tmp_path / str(turn), 16)


def test_two_drivers_on_a_small_run(cluster, forks, tmp_path):
    two_drivers(FaultTally(""), forks, cluster, tmp_path / "run", 6)


@pytest.mark.soak
def test_calibration_photos_that_kill_their_worker(cluster, forks, job_file, tmp_path, record_fault):
    from PIL import Image

    job = job_file(images=4, autoencoder="crashing")
    Image.new("RGB", (48, 36), (9, 9, 9)).save(tmp_path / "natural" / "poison.png")
    with record_fault("a calibration photo that kills every worker") as tally:
        tally.injected = 1
        finish(forks, job, cluster)
        account(tally, tmp_path / "enhanced")


def through(proxy):
    """The environment of processes whose S3 is a proxy's."""
    settings = {"config_kwargs": {"read_timeout": proxy.timeout_s - 0.5}}
    return s3_settings(proxy.port) | {"FSSPEC_S3": json.dumps(settings), "AWS_MAX_ATTEMPTS": "3"}


def on_s3(s3, folder, images, actors):
    """The file of a job whose photos are on S3, and its output; photos are small, so that requests take most time."""
    import boto3

    client = boto3.client("s3", endpoint_url=s3["AWS_ENDPOINT_URL"])
    bucket = f"archive-{uuid.uuid4().hex[:8]}"
    client.create_bucket(Bucket=bucket)
    for number in range(images + 3):
        key = f"restored/{number:04d}.png" if number < images else f"natural/{number}.png"
        with io.BytesIO() as file:
            make_photo(number, 24, 18).save(file, "PNG")
            client.put_object(Bucket=bucket, Key=key, Body=file.getvalue())
    job = {
        "input": {"images": f"s3://{bucket}/restored"},
        "calibration": {"reference": f"s3://{bucket}/natural", "degradation": "blur:sigma=1"},
        "autoencoder": "tests.support.fake_autoencoders:shuffle",
        "output": {"uri": f"s3://{bucket}/enhanced"},
        "compute": {"images_per_shard": 2, "dtype": "float32", "workers": actors},
    }
    (folder / "job.yaml").write_text(yaml.safe_dump(job))
    return str(folder / "job.yaml"), f"s3://{bucket}/enhanced"


def account_s3(tally, output, images):
    """Every photo has a row and the result that the row speaks of, as far as this process reads it through its S3."""
    (name,) = list_names(f"{output}/_deepot")
    run = RunPaths(f"{output}/_deepot/{name}")
    rows = Counter(row["file_name"] for row in read_manifest(run).to_pylist())
    tally.lost += images - len(rows)
    tally.doubled += sum(count > 1 for count in rows.values())
    assert (tally.lost, tally.doubled) == (0, 0)
    assert verify_run(run, NullProgress()) == VerificationReport(images, (), images)


@pytest.mark.soak
@pytest.mark.parametrize(("percent", "images", "least"), [(1, 400, 24), (5, 120, 24), (20, 8, 15)])
def test_the_whole_job_over_faulty_s3(faulty_s3, s3, tmp_path, record_fault, percent, images, least):
    """Driver, workers and the reading of the results, each through s3fs and the proxy."""
    job, output = on_s3(s3, tmp_path, images, actors=2)
    faulty_s3.rate, faulty_s3.timeout_s = percent / 100, 2.5
    command = [sys.executable, "-m", "jobs.cli", "run", job, "--allow-code"]
    environment = os.environ | through(faulty_s3)
    with record_fault(f"S3: all faults, {percent} % of the requests of a whole job") as tally:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        account_s3(tally, output, images)
        tally.injected = faulty_s3.injected.total()
        assert tally.injected >= least and len(faulty_s3.injected) >= 4, faulty_s3.injected


def test_a_small_job_over_faulty_s3(cluster, forks, proxy, s3, tmp_path):
    """On the cluster that is there; its results are read without faults."""
    job, output = on_s3(s3, tmp_path, 4, actors=1)
    proxy.rate = 0.1
    finish(forks, job, cluster)
    proxy.rate = 0.0
    account_s3(FaultTally(""), output, 4)
    assert proxy.injected.total() >= 3
