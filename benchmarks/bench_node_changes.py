"""Throughput while nodes join and leave during one run, in photos per second.

    python benchmarks/bench_node_changes.py PHOTOS --json FILE

The Ray cluster has several nodes on this machine, each with room for one worker. The autoencoder waits for a quarter of
a second per photo, as if each node had a GPU, so that the cores of this machine are not the limit. The rate of a phase
is that of its second half, as workers have to start first.
"""

import os
import tempfile
import time
from pathlib import Path
from threading import Thread
from typing import Any

from benchmarks._results import make_parser, save_results
from benchmarks.bench_scheduling import pythonpath, write_crops

PHASES = (1, 2, 4, 2, 1)
"""Number of nodes in each phase."""
_OBJECT_STORE_BYTES = 80 * 2**20


class StopRunError(Exception):
    """All phases are over, so the run may end."""


class ThroughputProgress:
    """Progress that records when photos finish, and ends the run when `over` is set."""

    def __init__(self) -> None:
        self.stage, self.over = "", False
        self.finished: list[float] = []

    def begin(self, stage: str, total: int) -> None:
        """Start a stage."""
        self.stage = stage

    def advance(self, images: int, failed: int) -> None:
        """Record the time.

        Raises:
            RuntimeError: a photo failed.
            StopRunError: `over` is set.
        """
        if failed:
            raise RuntimeError(f"{failed} photos failed; the manifest of the run says why")
        if self.over:
            raise StopRunError
        if self.stage == "apply":
            self.finished += [time.monotonic()] * images

    def end(self) -> None:
        """End the stage."""

    def rate(self, since: float, until: float) -> float:
        """Return the photos per second between two times."""
        return sum(since < moment <= until for moment in self.finished) / (until - since)


def measure(folder: Path, phase_s: float) -> list[dict[str, Any]]:
    """Return the number of nodes and the photos per second of each phase."""
    from ray.cluster_utils import Cluster

    from pipeline.config import parse_job
    from pipeline.stages import RunOptions, run_job

    job = parse_job(
        {
            "input": str(folder / "photos"),
            "calibration": {"degradation": "blur:sigma=1", "limit": 4},
            "autoencoder": "benchmarks.null_autoencoder:waiting_autoencoder",
            "output": str(folder / "out"),
            "compute": {"images_per_shard": 2},
        }
    )
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
    cluster, progress = Cluster(True, head_node_args=head), ThroughputProgress()

    def run() -> None:
        try:
            run_job(job, RunOptions(cluster.address, allow_code=True, progress=progress))
        except StopRunError:
            return

    nodes = [_add_node(cluster)]
    try:
        thread = Thread(target=run)
        thread.start()
        while not progress.finished:
            time.sleep(0.1)
            if not thread.is_alive():
                raise RuntimeError("the run ended before its first photo; its error is above")
        results = run_phases(cluster, nodes, progress, phase_s)
        progress.over = True
        thread.join(60)
        return results
    finally:
        cluster.shutdown()


def run_phases(
    cluster: Any,  # noqa: ANN401 — Ray is untyped
    nodes: list[Any],
    progress: ThroughputProgress,
    phase_s: float,
) -> list[dict[str, Any]]:
    """Add and remove nodes phase by phase, and print and return the rate of each phase."""
    results = []
    for n_nodes in PHASES:
        while len(nodes) < n_nodes:
            nodes.append(_add_node(cluster))
        while len(nodes) > n_nodes:
            cluster.remove_node(nodes.pop(), allow_graceful=False)
        time.sleep(phase_s)
        now = time.monotonic()
        rate = progress.rate(now - phase_s / 2, now)
        results.append({"nodes": n_nodes, "photos_per_s": rate})
        print(f"{n_nodes} nodes: {rate:.2f} photos/s", flush=True)
    return results


def _add_node(cluster: Any) -> Any:  # noqa: ANN401 — Ray is untyped
    return cluster.add_node(num_cpus=1, object_store_memory=_OBJECT_STORE_BYTES)


def main() -> None:
    """Measure and print the rates."""
    parser = make_parser(__doc__)
    parser.add_argument("photos", type=Path, help="folder of photos to take crops from")
    parser.add_argument("--phase-s", type=float, default=30.0, help="seconds of a phase")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = pythonpath()
    with tempfile.TemporaryDirectory() as name:
        write_crops(options.photos, Path(name) / "photos", int(4 * sum(PHASES) * options.phase_s), 64)
        save_results(options.json, options, measure(Path(name), options.phase_s))


if __name__ == "__main__":
    main()
