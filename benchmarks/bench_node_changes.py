"""Does throughput follow the nodes? Photos a second while nodes join and leave under one run.

    python benchmarks/elastic.py PHOTOS --json FILE

A Ray cluster of several nodes on this machine, each with room for one worker. The autoencoder does nothing and takes a
quarter of a second for it, as if each node had a GPU of its own, so that the cores of this machine are not the limit.
A rate is that of the last half of a phase: workers have to start first.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from threading import Thread
from typing import Any

from record import save
from scheduling import crops

PHASES = (1, 2, 4, 2, 1)
"""Nodes with room for a worker, one phase after the other."""


class EnoughError(Exception):
    """All phases are over, so the run may end."""


class Clock:
    """Progress that notes when photos are finished, and ends the run when it is told to."""

    def __init__(self) -> None:
        self.stage, self.over = "", False
        self.finished: list[float] = []

    def begin(self, stage: str, total: int) -> None:
        """A stage starts."""
        self.stage = stage

    def advance(self, images: int, failed: int) -> None:
        """Note the time; a failure is not what is to be measured."""
        if failed:
            raise RuntimeError("a photo failed")
        if self.over:
            raise EnoughError
        if self.stage == "apply":
            self.finished += [time.monotonic()] * images

    def end(self) -> None:
        """Nothing."""

    def rate(self, since: float, until: float) -> float:
        """Photos a second between two times."""
        return sum(since < each <= until for each in self.finished) / (until - since)


def measure(folder: Path, phase_s: float) -> list[dict[str, Any]]:
    """Photos a second of each phase."""
    from ray.cluster_utils import Cluster

    from pipeline.config import parse_job
    from pipeline.stages import RunOptions, run_job

    job = parse_job(
        {
            "input": {"images": str(folder / "photos")},
            "calibration": {"degradation": "blur:sigma=1", "limit": 4},
            "autoencoder": "null_codec:waiting",
            "output": {"uri": str(folder / "out")},
            "compute": {"images_per_shard": 2},
        }
    )
    small = {"object_store_memory": 80 * 2**20}
    cluster, clock = Cluster(True, head_node_args={"num_cpus": 0, "include_dashboard": False, **small}), Clock()

    def run() -> None:
        try:
            run_job(job, RunOptions(cluster.address, allow_code=True, progress=clock))
        except EnoughError:
            return

    nodes, found = [cluster.add_node(num_cpus=1, **small)], []
    try:
        thread = Thread(target=run)
        thread.start()
        while not clock.finished:
            time.sleep(0.1)
            if not thread.is_alive():
                raise RuntimeError("the run has ended before its first photo")
        for wanted in PHASES:
            while len(nodes) < wanted:
                nodes.append(cluster.add_node(num_cpus=1, **small))
            while len(nodes) > wanted:
                cluster.remove_node(nodes.pop(), allow_graceful=False)
            time.sleep(phase_s)
            now = time.monotonic()
            found.append({"nodes": wanted, "photos_per_s": clock.rate(now - phase_s / 2, now)})
            print(f"{wanted} nodes: {found[-1]['photos_per_s']:.2f} photos/s", flush=True)
        clock.over = True
        thread.join(60)
        return found
    finally:
        cluster.shutdown()


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--phase-s", type=float, default=30.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    with tempfile.TemporaryDirectory() as name:
        crops(options.photos, Path(name) / "photos", int(4 * sum(PHASES) * options.phase_s), 64)
        save(options.json, options, measure(Path(name), options.phase_s))


if __name__ == "__main__":
    main()
