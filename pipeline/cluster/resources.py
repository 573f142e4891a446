"""Slots: how many workers the nodes of a cluster take, and what each of them holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.config import Compute


@dataclass(frozen=True)
class WorkerResources:
    """How many workers there are to be and what Ray is to keep for each one."""

    count: int
    cpus: float
    gpus: float


def with_fixed_gpu_share(compute: Compute, resources: WorkerResources) -> Compute:
    """What a job asks for once its workers are of a kind, with or without GPUs: nodes that come and go change no kind.

    Their results would differ in the last bits, and as many workers of one kind would be wanted as fit of the other.
    """
    return compute.model_copy(update={"gpus_per_worker": resources.gpus})


def cores_per_worker(node: Mapping[str, float], cpus: float, gpus: float) -> int:
    """Cores that a worker has of its node for reading, encoding and writing, beside its GPU or its own computing.

    Args:
        node: what the node has, as Ray counts it.
        cpus: that Ray keeps for the worker.
        gpus: that Ray keeps for the worker; its share of these is its share of the cores.
    """
    n_cores = node.get("CPU", 0.0) * gpus / node["GPU"] if gpus else cpus
    return max(1, int(n_cores + 1e-9))


def _workers_per_node(gpus: float, gpus_per_worker: float) -> int:
    """Workers that a node's GPUs take: a GPU is shared by whole workers, as none has parts of two."""
    return int(gpus / gpus_per_worker + 1e-9) if gpus_per_worker >= 1 else int(gpus) * int(1 / gpus_per_worker + 1e-9)


def plan_workers(nodes: Sequence[Mapping[str, float]], compute: Compute) -> WorkerResources:
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
    gpus_per_worker = float(any(gpus)) if compute.gpus_per_worker == "auto" else compute.gpus_per_worker
    if gpus_per_worker:
        n_fitting, cpus_per_worker = sum(_workers_per_node(has, gpus_per_worker) for has in gpus), 0.0
    else:
        n_fitting = sum(int(has // compute.threads) for has in cpus)
        cpus_per_worker = float(compute.threads) if n_fitting else max(cpus, default=0.0) or float(compute.threads)
    if compute.workers != "auto":
        shared_cpus = sum(cpus) / compute.workers or 1.0
        return WorkerResources(compute.workers, min(cpus_per_worker, shared_cpus), gpus_per_worker)
    wanted = n_fitting if compute.max_workers == "auto" else compute.max_workers
    return WorkerResources(max(1, wanted, compute.min_workers), cpus_per_worker, gpus_per_worker)
