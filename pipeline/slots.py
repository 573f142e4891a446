"""Slots: how many workers the nodes of a cluster take, and what each of them holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.config import Compute


@dataclass(frozen=True)
class Slots:
    """How many workers there are to be and what Ray is to keep for each one."""

    count: int
    cpus: float
    gpus: float


def divide(nodes: Sequence[Mapping[str, float]], compute: Compute) -> Slots:
    """Divide nodes into workers, as the job asks.

    A worker is on one node, so nodes are divided one by one. Where there are GPUs, workers are on these alone, as
    photos done without one would have other last bits. They ask for no CPUs, because a node has as many workers as its
    GPUs take, however few cores it has.

    Where the job says how many workers there may be, so many are wanted whatever the nodes have: those without room
    are what an autoscaling cluster grows for, and they go with the driver.

    Args:
        nodes: what each has, as Ray counts it: `CPU`, `GPU`.
        compute: what the job asks for.
    """
    cpus = [node.get("CPU", 0.0) for node in nodes]
    gpus = [node.get("GPU", 0.0) for node in nodes]
    per_gpu = float(any(gpus)) if compute.gpus_per_actor == "auto" else compute.gpus_per_actor
    if per_gpu:
        fitting, share = sum(int(has / per_gpu + 1e-9) for has in gpus), 0.0
    else:
        fitting = sum(int(has // compute.threads) for has in cpus)
        share = float(compute.threads) if fitting else max(cpus, default=0.0) or float(compute.threads)
    if compute.actors != "auto":
        crowded = sum(cpus) / compute.actors or 1.0
        return Slots(compute.actors, min(share, crowded), per_gpu)
    wanted = fitting if compute.max_actors == "auto" else compute.max_actors
    return Slots(max(1, wanted, compute.min_actors), share, per_gpu)
