"""Slots: how many workers the nodes of a cluster take, and what each of them holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.config.job import Compute


@dataclass(frozen=True)
class Slots:
    """How many workers there are to be and what Ray is to keep for each one."""

    count: int
    cpus: float
    gpus: float


def settled(compute: Compute, each: Slots) -> Compute:
    """What a job asks for once its workers are of a kind, with or without GPUs: nodes that come and go change no kind.

    Their results would differ in the last bits, and as many workers of one kind would be wanted as fit of the other.
    """
    return compute.model_copy(update={"gpus_per_actor": each.gpus})


def cores(node: Mapping[str, float], cpus: float, gpus: float) -> int:
    """Cores that a worker has of its node for reading, encoding and writing, beside its GPU or its own computing.

    Args:
        node: what the node has, as Ray counts it.
        cpus: that Ray keeps for the worker.
        gpus: that Ray keeps for the worker; its share of these is its share of the cores.
    """
    share = node.get("CPU", 0.0) * gpus / node["GPU"] if gpus else cpus
    return max(1, int(share + 1e-9))


def _fitting(gpus: float, each: float) -> int:
    """Workers that a node's GPUs take: a GPU is shared by whole workers, as none has parts of two."""
    return int(gpus / each + 1e-9) if each >= 1 else int(gpus) * int(1 / each + 1e-9)


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
        fitting, share = sum(_fitting(has, per_gpu) for has in gpus), 0.0
    else:
        fitting = sum(int(has // compute.threads) for has in cpus)
        share = float(compute.threads) if fitting else max(cpus, default=0.0) or float(compute.threads)
    if compute.actors != "auto":
        crowded = sum(cpus) / compute.actors or 1.0
        return Slots(compute.actors, min(share, crowded), per_gpu)
    wanted = fitting if compute.max_actors == "auto" else compute.max_actors
    return Slots(max(1, wanted, compute.min_actors), share, per_gpu)
