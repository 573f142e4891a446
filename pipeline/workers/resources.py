"""How many workers the nodes of a cluster have room for, and what each of them reserves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.config import Compute


@dataclass(frozen=True)
class WorkerResources:
    """The number of workers, and the CPUs and GPUs that Ray reserves for each of them."""

    count: int
    cpus: float
    gpus: float


def with_fixed_gpu_share(compute: Compute, resources: WorkerResources) -> Compute:
    """Return what a job asks for, with the share of a GPU that its first workers have.

    Nodes that join later must not change the kind of the workers: results of workers with and without GPUs differ in
    the last bits.
    """
    return compute.model_copy(update={"gpus_per_worker": resources.gpus})


def cores_per_worker(node: Mapping[str, float], cpus: float, gpus: float) -> int:
    """Return the number of a node's cores that a worker may use for reading, encoding and writing.

    Args:
        node: the resources of the node, as Ray counts them.
        cpus: the CPUs that Ray reserves for the worker.
        gpus: the GPUs that Ray reserves for the worker; its share of the node's GPUs is its share of the cores.
    """
    n_cores = node.get("CPU", 0.0) * gpus / node["GPU"] if gpus else cpus
    return max(1, int(n_cores + 1e-9))


def _workers_per_node(gpus: float, gpus_per_worker: float) -> int:
    """The number of workers that the GPUs of a node have room for; no worker shares two GPUs with others."""
    return int(gpus / gpus_per_worker + 1e-9) if gpus_per_worker >= 1 else int(gpus) * int(1 / gpus_per_worker + 1e-9)


def plan_workers(nodes: Sequence[Mapping[str, float]], compute: Compute) -> WorkerResources:
    """Divide nodes into workers, as the job asks.

    A worker runs on one node, so nodes are divided one by one. If any node has GPUs, all workers use GPUs, because
    results without one differ in the last bits. They reserve no CPUs: a node has as many workers as its GPUs have room
    for, however few cores it has.

    If the job gives a number of workers, that many are requested whatever the nodes have: an autoscaling cluster grows
    for those that have no room yet.

    Args:
        nodes: the resources of each node, as Ray counts them: `CPU`, `GPU`.
        compute: the numbers and sizes of workers that the job asks for.
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
