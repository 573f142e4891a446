"""How many machines Ray's autoscaler starts for an empty cluster, as in the table of docs/cluster.md."""

from pathlib import Path
from unittest.mock import MagicMock

import pytest
import yaml

from pipeline.config.job import Compute
from pipeline.workers.resources import plan_workers

ROOT = Path(__file__).resolve().parents[2]
ROWS = [
    ({}, {"cpu": 1}, "1 of CPUs"),
    ({"max_workers": 40}, {"cpu": 5}, "5 of CPUs"),
    ({"max_workers": 100}, {"cpu": 10, "gpu": 3}, "10 of CPUs, and 3 with GPUs, whose cores are used"),
    ({"max_workers": 10, "gpus_per_worker": 1}, {"gpu": 10}, "10 with GPUs"),
    ({"max_workers": 10, "gpus_per_worker": 0.5}, {"gpu": 5}, "5 with GPUs"),
    ({"max_workers": 40, "gpus_per_worker": 1}, {"gpu": 10}, "10 with GPUs; 30 workers have no room"),
]


@pytest.mark.parametrize(("settings", "machines", "words"), ROWS)
def test_autoscaler_starts_the_machines_of_the_documentation(settings, machines, words):
    from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
    from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
    from ray.autoscaler.v2.utils import ResourceRequestUtil

    cluster = AutoscalingConfig(yaml.safe_load((ROOT / "cluster.yaml").read_text()), skip_content_hash=True)
    head = cluster.get_node_type_configs()["head"].resources
    resources = plan_workers([head], Compute(**settings))
    needed = {name: amount for name, amount in (("CPU", resources.cpus), ("GPU", resources.gpus)) if amount}
    requests = ResourceRequestUtil.group_by_count([ResourceRequestUtil.make(needed)] * resources.count)
    request = SchedulingRequest(
        disable_launch_config_check=True,
        node_type_configs=cluster.get_node_type_configs(),
        max_num_nodes=cluster.get_max_num_nodes(),
        resource_requests=requests,
    )
    reply = ResourceDemandScheduler(MagicMock()).schedule(request)
    assert {each.instance_type: each.count for each in reply.to_launch} == machines
    flags = " ".join(f"--compute.{key} {value}" for key, value in settings.items())
    row = f"| {f'`{flags}`' if flags else 'nothing'} | {words} |"
    assert row in (ROOT / "docs" / "cluster.md").read_text()
