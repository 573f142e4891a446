"""Drivers as processes of their own on a cluster, and what is checked after they, workers or nodes were killed."""

import contextlib
import json
import multiprocessing
import os
import signal
import time
from collections import Counter
from pathlib import Path

import yaml

from pipeline.maintenance.verify import verify_run
from pipeline.progress import NullProgress
from pipeline.runs import RunPaths, read_manifest, read_plan
from tests.support.photos import small_job_config

PATIENCE_S = 400
"""How long a test waits for what takes seconds, before it fails."""
_USED_BY_RUNS = (
    "fsspec",
    "imagecodecs",
    "jinja2",
    "jobs.run",
    "matplotlib.backends.backend_svg",
    "matplotlib.figure",
    "pandas",  # pyarrow imports it if it is installed
    "pipeline.config.loading",
    "pipeline.local.worker_process",
    "pipeline.stages.driver",
    "pyarrow.parquet",
    "tenacity",
    "tests.support.fake_autoencoders",
    "tifffile",
    "yarl",
)


def fork_drivers(*modules):
    """Return a multiprocessing context whose drivers are forked with what every run imports, and these modules.

    A run imports most of it when it first uses it, which would take each driver two CPU-seconds.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*_USED_BY_RUNS, *modules])
    return context


def write_job(folder, images=12, autoencoder="shuffle", **changes):
    """Write a job file over photos in a folder; returns its path."""
    compute = {"images_per_shard": 2, "dtype": "float32", "workers": 1}
    given = {"autoencoder": f"tests.support.fake_autoencoders:{autoencoder}", "compute": compute} | changes
    folder.mkdir(exist_ok=True)
    (folder / "job.yaml").write_text(yaml.safe_dump(small_job_config(folder, images, 3, **given)))
    return str(folder / "job.yaml")


def _run_driver(job, address, environment):
    """Run a job in this process and end it; the target of a driver's process.

    The process that it is forked from may have been started by another file of tests, in its environment.
    """
    os.environ.update(environment)
    from jobs.cli import main

    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background of a shell start with it ignored
    place = ["--address", address] if address else ["--compute.pool", "local"]
    os._exit(main(["run", job, "--allow-code", "--json", *place]))


@contextlib.contextmanager
def start_driver(forks, job, cluster=None):
    """Start a driver on a cluster, or with local workers."""
    process = forks.Process(target=_run_driver, args=(job, cluster and cluster.address, dict(os.environ)), daemon=True)
    process.start()
    try:
        yield process
    finally:
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
        process.join()


def run_driver_to_end(forks, job, cluster=None):
    with start_driver(forks, job, cluster) as process:
        process.join(PATIENCE_S)
        assert process.exitcode == 0


def kill_driver(process):
    """kill -9 of a driver; returns whether it was still running."""
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    return process.exitcode == -signal.SIGKILL


def wait_until(condition, process):
    """Wait until a condition holds or a process ends."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and process.is_alive():
        assert time.monotonic() < deadline, "the condition was never met"
        time.sleep(0.005)


def check_run(tally, folder):
    """Check that every input has one row, and that every result is what its row says; returns the run."""
    (run_json,) = Path(folder).rglob("run.json")
    run = RunPaths(str(run_json.parent))
    rows = Counter(row["file_name"] for row in read_manifest(run).to_pylist())
    planned = [entry.key for shard in read_plan(run) for entry in shard.entries]
    tally.lost += len(set(planned) - set(rows))
    tally.doubled += sum(count > 1 for count in rows.values())
    assert set(rows) == set(planned) and set(rows.values()) == {1}
    assert verify_run(run, NullProgress()).findings == ()
    success = json.loads(Path(run.success_marker).read_bytes())
    assert (success["inputs"], success["ok"]) == (len(planned), len(planned))
    return run


def read_commits(folder):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("commits/*.json")}


def read_outcome(run, folder):
    """Return the rows, without the columns that differ from run to run, and the result files."""
    rows = read_manifest(run).to_pylist()
    own = ("attempt", "output_uri", "run_id", "config_sha256")
    kept = [key for key in rows[0] if key not in own and not key.startswith("seconds_")]
    values = {row["file_name"]: {key: row[key] for key in kept} for row in rows}
    return values, {key: (folder / "enhanced" / key).read_bytes() for key in values}


def replace_node(cluster):
    """kill -9 of the raylet of a node other than the head, and add another node; returns the killed one."""
    victim = min(cluster.worker_nodes, key=lambda node: node.node_ip_address + node.raylet_socket_name)
    os.kill(victim.all_processes["raylet"][0].process.pid, signal.SIGKILL)
    cluster.add_node(**cluster.sizes)
    return victim


def _worker_pids():
    """Return the process IDs of the workers of this process's cluster."""
    found = []
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::WorkerActor"):
                found.append(pid)
    return found


def kill_a_worker():
    """kill -9 of one worker; returns whether there was one: while it is replaced there may be none."""
    for pid in _worker_pids():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
    return False


def descendants(pid):
    """Yield the process IDs of all descendants of a process."""
    for path in Path("/proc").glob(f"{pid}/task/*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, path.read_text().split()):
                yield child
                yield from descendants(child)
