"""How nodes are divided into workers; no Ray starts in here."""

import pytest

from pipeline.config.job import Compute
from pipeline.config.loading import parse_job
from pipeline.errors import ConfigError
from pipeline.workers.resources import WorkerResources, cores_per_worker, plan_workers, with_fixed_gpu_share

HEAD = {"CPU": 0.0, "memory": 1e9}
SMALL, LARGE = {"CPU": 4.0}, {"CPU": 30.0}
GPU, FEW_CORES, MANY_GPUS = {"CPU": 16.0, "GPU": 1.0}, {"CPU": 2.0, "GPU": 4.0}, {"CPU": 96.0, "GPU": 8.0}


@pytest.mark.parametrize(
    ("nodes", "compute", "expected"),
    [
        ([HEAD, SMALL, LARGE], {}, WorkerResources(34, 1.0, 0.0)),
        ([SMALL, SMALL], {"threads": 3}, WorkerResources(2, 3.0, 0.0)),  # not 8 / 3: a worker is on one node
        ([SMALL], {"threads": 8}, WorkerResources(1, 4.0, 0.0)),
        ([HEAD, GPU, LARGE], {}, WorkerResources(1, 0.0, 1.0)),  # the CPU-only node does nothing
        ([GPU, FEW_CORES, MANY_GPUS], {"threads": 4}, WorkerResources(13, 0.0, 1.0)),  # few cores keep no GPU idle
        ([GPU, FEW_CORES], {"gpus_per_worker": 0.5}, WorkerResources(10, 0.0, 0.5)),
        ([GPU], {"gpus_per_worker": 0.1}, WorkerResources(10, 0.0, 0.1)),
        (
            [GPU, FEW_CORES],
            {"gpus_per_worker": 0.3},
            WorkerResources(15, 0.0, 0.3),
        ),  # not 4 / 0.3: no worker is on two of them
        ([GPU, GPU, MANY_GPUS], {"gpus_per_worker": 2}, WorkerResources(4, 0.0, 2.0)),
        ([GPU, LARGE], {"gpus_per_worker": 0}, WorkerResources(46, 1.0, 0.0)),
        ([HEAD], {}, WorkerResources(1, 1.0, 0.0)),
        ([HEAD], {"gpus_per_worker": 1}, WorkerResources(1, 0.0, 1.0)),
        ([HEAD], {"gpus_per_worker": 1, "max_workers": 10}, WorkerResources(10, 0.0, 1.0)),
        ([SMALL], {"max_workers": 2}, WorkerResources(2, 1.0, 0.0)),
        ([SMALL], {"min_workers": 3}, WorkerResources(4, 1.0, 0.0)),
        ([SMALL], {"min_workers": 6}, WorkerResources(6, 1.0, 0.0)),
        ([SMALL], {"min_workers": 2, "max_workers": 3}, WorkerResources(3, 1.0, 0.0)),
        ([SMALL], {"workers": 8}, WorkerResources(8, 0.5, 0.0)),
        ([], {}, WorkerResources(1, 1.0, 0.0)),
    ],
)
def test_plan_workers_divides_nodes_one_by_one(nodes, compute, expected):
    assert plan_workers(nodes, Compute(**compute)) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (
            [SMALL],
            [SMALL, GPU],
            WorkerResources(20, 1.0, 0.0),
        ),  # a node with a GPU joins workers without: its cores count
        ([HEAD, GPU, GPU], [HEAD, LARGE], WorkerResources(1, 0.0, 1.0)),  # all nodes with GPUs are lost: wait for one
        ([GPU], [GPU, MANY_GPUS], WorkerResources(9, 0.0, 1.0)),
    ],
)
def test_with_fixed_gpu_share_keeps_the_kind_of_workers_when_nodes_change(before, after, expected):
    compute = Compute()
    assert plan_workers(after, with_fixed_gpu_share(compute, plan_workers(before, compute))) == expected


@pytest.mark.parametrize(
    ("node", "cpus", "gpus", "expected"),
    [
        (GPU, 0.0, 1.0, 16),
        (MANY_GPUS, 0.0, 1.0, 12),
        (MANY_GPUS, 0.0, 0.5, 6),
        (FEW_CORES, 0.0, 1.0, 1),
        (LARGE, 3.0, 0.0, 3),
    ],
)
def test_cores_per_worker_is_in_proportion_to_its_gpus(node, cpus, gpus, expected):
    assert cores_per_worker(node, cpus, gpus) == expected


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        ({"min_workers": 5, "max_workers": 4}, "min_workers is 5, more than max_workers, which is 4"),
        ({"gpus_per_worker": 1.5}, "gpus_per_worker is 1.5: give a fraction of one GPU, or a whole number of GPUs"),
    ],
)
def test_compute_that_no_cluster_can_give_is_refused(compute, message):
    job = {"input": {"images": "in"}, "output": {"uri": "out"}, "calibration": {"degradation": "noise:sigma=50"}}
    with pytest.raises(ConfigError, match=message):
        parse_job(job | {"compute": compute})
