"""kill -9 of drivers, workers and nodes; whatever is killed and when, the next run finishes the rest.

Drivers are real ones, each a process of its own on one small cluster that outlives them. They are forked from a server
that has imported everything, so that one is up in a second. Random moments are shares of the time that a run still
needs, as measured on this machine, and several drivers of one run are killed before it may finish.
"""

import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from pipeline.config.loading import parse_job
from pipeline.maintenance.orphans import find_orphans, remove_orphans
from tests.support.driver_processes import (
    PATIENCE_S,
    check_run,
    fork_drivers,
    kill_a_worker,
    kill_driver,
    read_commits,
    read_outcome,
    replace_node,
    run_driver_to_end,
    start_driver,
    wait_until,
    write_job,
)
from tests.support.in_process_pool import run_in_process
from tests.support.s3_fault_proxy import FaultProxy
from tests.support.s3_jobs import check_run_on_s3, proxy_environment, write_job_on_s3
from tests.support.soak import FaultTally

pytestmark = pytest.mark.timeout(1200)
ROOT = Path(__file__).resolve().parents[2]
SEEDS = range(*(int(part) for part in os.environ.get("SOAK_SEEDS", "0:50").split(":")))
KILLS = 5  # of a run's drivers, before one may finish it
BOUNDARIES = ["run.json", "plan-0001.parquet", "both-0001.parquet", "00000.safetensors", "maps/provenance/*.json"]
BOUNDARIES += ["map-0001.safetensors", "00000.json", "_SUCCESS.json"]  # after it only the report is written


@pytest.fixture(scope="module")
def proxy(s3):
    """A proxy before the S3 server, for jobs on the cluster; it breaks nothing until its rate is set."""
    with FaultProxy(int(s3["AWS_ENDPOINT_URL"].rpartition(":")[2])) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def cluster(proxy):
    """Two nodes on this machine, whose S3 is the proxy's; drivers are forked with the same environment.

    Without the processes of Ray that print workers' logs and start machines, which take CPU-seconds and are not used.
    """
    from ray.cluster_utils import Cluster

    from pipeline.cluster import RAY_ENVIRONMENT

    with pytest.MonkeyPatch.context() as patch:
        for key, value in (RAY_ENVIRONMENT | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}).items():
            patch.setenv(key, value)
        for key, value in proxy_environment(proxy).items():
            patch.setenv(key, value)
        sizes = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_log_monitor": False}
        head = sizes | {"include_dashboard": False, "no_monitor": True}
        nodes = Cluster(initialize_head=True, head_node_args=head)
        nodes.sizes = sizes
        nodes.add_node(**sizes)
        nodes.wait_for_nodes()
        yield nodes
        nodes.shutdown()


@pytest.fixture(scope="module")
def forks():
    return fork_drivers("ray", "s3fs", "pipeline.cluster")


@pytest.fixture
def job_file(tmp_path):
    return lambda images=12, autoencoder="shuffle", **changes: write_job(tmp_path, images, autoencoder, **changes)


@dataclass
class RunTimes:
    """How long undisturbed runs take: from nothing, with a map, and with nothing left to do."""

    full_s: float
    mapped_s: float
    idle_s: float

    def remaining_s(self, folder):
        """Return how long the next driver of a run will take, by what the run has in its folder."""
        if not any(folder.rglob("map-0001.safetensors")):
            return self.full_s
        images = len([*(folder / "restored").rglob("*.png")])
        committed = 2 * len([*folder.rglob("commits/*.json")])
        return self.idle_s + (self.mapped_s - self.idle_s) * (1 - committed / images)


@pytest.fixture(scope="module")
def run_times(cluster, forks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("times")

    def timed_s():
        started = time.monotonic()
        run_driver_to_end(forks, write_job(folder), cluster)
        return time.monotonic() - started

    timed_s()  # the first run warms the cluster up
    for name in ("enhanced", "_deepot"):
        shutil.rmtree(folder / name)
    full_s = timed_s()
    idle_s = timed_s()
    for path in folder.rglob("commits/*.json"):
        path.unlink()
    return RunTimes(full_s, timed_s(), idle_s)


@pytest.mark.soak
@pytest.mark.parametrize("seeds", [SEEDS[at : at + KILLS] for at in range(0, len(SEEDS), KILLS)], ids=str)
def test_run_survives_drivers_killed_at_random_moments(cluster, forks, run_times, tmp_path, record_fault, seeds):
    """Each seed kills one driver; if that was done sooner than expected, the seed gets the driver of a new run."""
    runs = [tmp_path / "0"]
    with record_fault("kill -9 of the driver at a random moment") as tally:
        for seed in seeds:
            share = random.Random(seed).uniform(0, 0.95)
            for _ in range(20):
                with start_driver(forks, write_job(runs[-1]), cluster) as process:
                    process.join(share * run_times.remaining_s(runs[-1]))
                    if process.is_alive() and kill_driver(process):
                        tally.injected += 1
                        break
                assert process.exitcode == 0
                runs.append(tmp_path / str(len(runs)))
        assert tally.injected == len(seeds)
        for folder in runs:
            run_driver_to_end(forks, write_job(folder), cluster)
            check_run(tally, folder / "enhanced")


@pytest.mark.soak
def test_run_survives_drivers_killed_at_every_stage_boundary(cluster, forks, job_file, tmp_path, record_fault):
    """Each is killed as soon as a stage has written its last file; the next one resumes from there."""
    job = job_file()
    with record_fault("kill -9 of the driver at a stage boundary") as tally:
        for name in BOUNDARIES:
            with start_driver(forks, job, cluster) as process:
                wait_until(lambda name=name: any(tmp_path.rglob(name)), process)
                tally.injected += kill_driver(process)
        assert tally.injected == len(BOUNDARIES)
        run_driver_to_end(forks, job, cluster)
        check_run(tally, tmp_path / "enhanced")


@pytest.mark.soak
def test_run_survives_killed_workers(cluster, forks, job_file, tmp_path, record_fault):
    job = job_file(images=24, autoencoder="slow", compute={"images_per_shard": 2, "dtype": "float32", "workers": 2})
    with record_fault("kill -9 of a worker") as tally:
        with start_driver(forks, job, cluster) as process:
            for n_commits in (1, 4):
                wait_until(
                    lambda n_commits=n_commits: len([*(tmp_path / "enhanced").rglob("commits/*.json")]) >= n_commits,
                    process,
                )
                wait_until(kill_a_worker, process)
                tally.injected += process.is_alive()
            assert tally.injected == 2
            process.join(PATIENCE_S)
            assert process.exitcode == 0
        check_run(tally, tmp_path / "enhanced")


@pytest.mark.soak
def test_run_survives_a_lost_node_while_another_joins(cluster, forks, job_file, tmp_path, record_fault):
    job = job_file(images=16, autoencoder="slow", compute={"images_per_shard": 2, "dtype": "float32", "workers": 3})
    third = cluster.add_node(**cluster.sizes)
    with (
        record_fault("kill -9 of a node's raylet, another node added") as tally,
        start_driver(forks, job, cluster) as process,
    ):
        wait_until(lambda: read_commits(tmp_path / "enhanced"), process)
        assert process.is_alive()
        victim = replace_node(cluster)
        tally.injected += 1
        process.join(PATIENCE_S)
        assert process.exitcode == 0
        check_run(tally, tmp_path / "enhanced")
        for node in {victim, third}:
            cluster.remove_node(node, allow_graceful=False)  # its remaining processes


def test_run_whose_driver_and_node_are_killed_gives_the_results_of_an_undisturbed_one(cluster, forks, tmp_path):
    """In the middle of apply; then the files and rows are those of an undisturbed run in one process."""
    changes = {"autoencoder": "slow", "compute": {"images_per_shard": 2, "dtype": "float32", "workers": 2}}
    job, folder = write_job(tmp_path / "disturbed", 16, **changes), tmp_path / "disturbed"
    with start_driver(forks, job, cluster) as process:
        wait_until(lambda: len(read_commits(folder)) >= 2, process)
        assert kill_driver(process)
    before = read_commits(folder)
    assert 2 <= len(before) < 8
    assert not list(folder.rglob("_SUCCESS.json"))
    with start_driver(forks, job, cluster) as process:
        wait_until(lambda: len(read_commits(folder)) > len(before), process)
        assert process.is_alive()
        victim = replace_node(cluster)
        process.join(PATIENCE_S)
        assert process.exitcode == 0
    cluster.remove_node(victim, allow_graceful=False)
    run = check_run(FaultTally(""), folder / "enhanced")
    assert before.items() <= read_commits(folder).items(), "committed shards were not processed again"
    for _ in remove_orphans(find_orphans(run, time.time() + 1)):
        pass
    assert not list(folder.rglob("*.partial")), "incomplete files are hidden, and removed by gc"

    undisturbed = tmp_path / "undisturbed"
    changes |= {
        "input": {"images": f"{folder}/restored"},
        "calibration": {"reference": f"{folder}/natural", "degradation": "blur:sigma=1"},
    }
    undisturbed_job = parse_job(yaml.safe_load(Path(write_job(undisturbed, 16, **changes)).read_text()))
    assert run_in_process(undisturbed_job).complete
    expected = read_outcome(check_run(FaultTally(""), undisturbed / "enhanced"), undisturbed)
    assert read_outcome(run, folder) == expected


def run_two_drivers(tally, forks, cluster, folder, images):
    """Start two drivers of one run at once, and then a third one for what they may have left."""
    job = write_job(folder, images)
    with start_driver(forks, job, cluster) as one, start_driver(forks, job, cluster) as other:
        tally.injected += 1
        one.join(PATIENCE_S)
        other.join(PATIENCE_S)
        assert {one.exitcode, other.exitcode} <= {0, 2}, "each is done or was refused"
    run_driver_to_end(forks, job, cluster)
    check_run(tally, folder / "enhanced")


@pytest.mark.soak
def test_two_drivers_on_one_run_lose_and_double_nothing(cluster, forks, tmp_path, record_fault):
    with record_fault("two drivers on one run") as tally:
        for turn in range(3):
            run_two_drivers(tally, forks, cluster, tmp_path / str(turn), 16)


def test_two_drivers_on_a_small_run_lose_and_double_nothing(cluster, forks, tmp_path):
    run_two_drivers(FaultTally(""), forks, cluster, tmp_path / "run", 6)


@pytest.mark.soak
def test_run_survives_a_calibration_photo_that_kills_every_worker(cluster, forks, job_file, tmp_path, record_fault):
    from PIL import Image

    job = job_file(images=4, autoencoder="crashing")
    Image.new("RGB", (48, 36), (9, 9, 9)).save(tmp_path / "natural" / "poison.png")
    with record_fault("a calibration photo that kills every worker") as tally:
        tally.injected = 1
        run_driver_to_end(forks, job, cluster)
        check_run(tally, tmp_path / "enhanced")


@pytest.mark.soak
@pytest.mark.parametrize(("percent", "images", "min_faults"), [(1, 400, 24), (5, 120, 24), (20, 8, 15)])
def test_job_over_faulty_s3_loses_and_doubles_nothing(
    faulty_s3, s3, tmp_path, record_fault, percent, images, min_faults
):
    """The driver, the workers and the check of the results all use s3fs and the proxy."""
    job, output = write_job_on_s3(s3, tmp_path, images, workers=2)
    faulty_s3.rate, faulty_s3.timeout_s = percent / 100, 2.5
    command = [sys.executable, "-m", "jobs.cli", "run", job, "--allow-code"]
    environment = os.environ | proxy_environment(faulty_s3)
    with record_fault(f"S3: all faults, {percent} % of the requests of a whole job") as tally:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode == 0, done.stderr
        check_run_on_s3(tally, output, images)
        tally.injected = faulty_s3.injected.total()
        assert tally.injected >= min_faults and len(faulty_s3.injected) >= 4, faulty_s3.injected


def test_small_job_over_faulty_s3_loses_and_doubles_nothing(cluster, forks, proxy, s3, tmp_path):
    """On the cluster of the other tests; the results are read without faults."""
    job, output = write_job_on_s3(s3, tmp_path, 4, workers=1)
    proxy.rate = 0.1
    run_driver_to_end(forks, job, cluster)
    proxy.rate = 0.0
    check_run_on_s3(FaultTally(""), output, 4)
    assert proxy.injected.total() >= 3
