"""A cluster of several nodes that grows and shrinks during a run: the same result, and no image fails."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import pytest

pytestmark = pytest.mark.timeout(900)
ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 400


def run_in_own_process(*arguments):
    """Run this module in a process, which has one Ray session; returns what it prints."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, "-m", "tests.scenarios.test_node_changes", *arguments]
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=850)
    assert process.returncode == 0, process.stdout + process.stderr
    return json.loads(process.stdout.splitlines()[-1])


@pytest.mark.soak
def test_run_whose_nodes_join_and_leave_gives_the_results_of_an_undisturbed_one(tmp_path):
    found = run_in_own_process(str(tmp_path))
    assert found["ok"] == 24
    assert max(found["attempts"]) <= 2, "what was lost is retried once, and not bisected"
    photos = [
        {path.name: path.read_bytes() for path in (tmp_path / name).rglob("*.png")}
        for name in ("disturbed", "undisturbed")
    ]
    assert len(photos[0]) == 24
    assert photos[0] == photos[1]


@pytest.mark.soak
def test_workers_of_a_cluster_with_gpus_are_on_their_nodes_alone(tmp_path):
    """GPUs that Ray only counts: a node with two of them and one core, one without any; then one more joins."""
    assert run_in_own_process(str(tmp_path), "mixed") == {"workers": [2, 3], "nodes": [1, 2], "elsewhere": 0}


def node_of_worker(_):
    """Return the ID of a worker's node."""
    import ray

    return ray.get_runtime_context().get_node_id()


def run_on_every_worker(pool):
    """Return the node of each call, once every worker has started and has got one."""
    found = []
    while True:
        had_started = len(pool.actor_pool.ready) == len(pool.actor_pool) > 0
        found += pool.map_unordered(node_of_worker, list(range(12)))
        if had_started:
            return found


def run_mixed(folder):
    """Print how many workers there were, on how many nodes with GPUs, and how many calls went to other nodes."""
    import ray
    from ray.cluster_utils import Cluster

    from pipeline.cluster import ray_session
    from pipeline.config.loading import parse_job
    from tests.support.photos import small_job_config

    small = {"object_store_memory": 80 * 2**20}
    cluster = Cluster(True, head_node_args={"num_cpus": 0, "include_dashboard": False, **small})
    workers, nodes, elsewhere = [], [], 0
    try:
        cluster.add_node(num_cpus=4, **small)
        job = parse_job(small_job_config(folder, 2, compute={"threads": 2, "dtype": "float32"}))
        for cores, gpus in (1, 2), (1, 1):
            cluster.add_node(num_cpus=cores, num_gpus=gpus, **small)
            with ray_session(cluster.address) as session, session.worker_pool(job, True) as pool:
                seen = run_on_every_worker(pool)
                workers.append(len(pool.actor_pool))
                with_gpus = {node["NodeID"] for node in ray.nodes() if node["Resources"].get("GPU")}
            nodes.append(len(set(seen) & with_gpus))
            elsewhere += len([node for node in seen if node not in with_gpus])
        sys.stdout.write(json.dumps({"workers": workers, "nodes": nodes, "elsewhere": elsewhere}) + "\n")
    finally:
        cluster.shutdown()


def main(folder):
    """Run a job while nodes join and leave, then the same job undisturbed; print what happened."""
    from ray.cluster_utils import Cluster

    from pipeline.config.loading import parse_job
    from pipeline.runs.committed_rows import read_manifest
    from pipeline.runs.paths import RunPaths
    from pipeline.stages import RunOptions, run_job
    from tests.support.photos import write_photos

    def job(output, autoencoder):
        return parse_job(
            {
                "input": {"images": str(folder / "restored")},
                "calibration": {"reference": str(folder / "natural"), "degradation": "blur:sigma=1"},
                "autoencoder": f"tests.support.fake_autoencoders:{autoencoder}",
                "output": {"uri": str(folder / output)},
                "compute": {"images_per_shard": 2, "dtype": "float32"},
            }
        )

    def commits():
        return len(list((folder / "disturbed").rglob("commits/*.json")))

    def wait_for(condition):
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(0.1)

    write_photos(folder / "restored", 24)
    write_photos(folder / "natural", 2, restored=False)
    small = {"object_store_memory": 80 * 2**20}
    cluster = Cluster(True, head_node_args={"num_cpus": 0, "include_dashboard": False, **small})
    try:
        first = cluster.add_node(num_cpus=1, **small)
        results = []
        options = RunOptions(cluster.address, allow_code=True)
        thread = Thread(target=lambda: results.append(run_job(job("disturbed", "slow"), options)))
        thread.start()
        wait_for(lambda: commits() >= 2)
        cluster.add_node(num_cpus=1, **small)
        wait_for(lambda: commits() >= 6)
        cluster.remove_node(first, allow_graceful=False)
        thread.join(PATIENCE_S)
        rows = read_manifest(RunPaths(results[0].run)).to_pylist()
        run_job(job("undisturbed", "shuffle"), options)
        found = {"ok": results[0].ok, "attempts": sorted({row["attempt"] for row in rows})}
        sys.stdout.write(json.dumps(found) + "\n")
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    (run_mixed if sys.argv[2:] else main)(Path(sys.argv[1]))
