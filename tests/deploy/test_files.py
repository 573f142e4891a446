"""The deployment files: Ray takes the cluster, nothing is open or secret, versions are those of constraints.txt."""

import re
from pathlib import Path

import pytest
import ray
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def cluster():
    return yaml.safe_load((ROOT / "cluster.yaml").read_text())


def test_ray_takes_the_cluster(cluster):
    """With the schema that `ray up` checks, before and after the defaults are filled in."""
    prepared = prepare_config(cluster)
    validate_config(prepared)
    assert prepared["available_node_types"]["gpu"]["max_workers"] == 10
    with pytest.raises(Exception, match="Additional properties are not allowed"):
        validate_config(prepared | {"auth": prepared["auth"] | {"password": "x"}})


def test_the_head_stays_and_does_no_work_and_the_workers_are_spot(cluster):
    types = cluster["available_node_types"]
    head, workers = types.pop("head"), list(types.values())
    assert head["resources"] == {"CPU": 0, "GPU": 0}
    assert "InstanceMarketOptions" not in head["node_config"]
    assert len(workers) == 2
    assert all(worker["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"} for worker in workers)
    assert all(worker["min_workers"] == 0 for worker in workers)
    assert cluster["idle_timeout_minutes"] <= 5


def test_no_port_is_open(cluster):
    assert all("SecurityGroupIds" in each["node_config"] for each in cluster["available_node_types"].values())
    assert cluster["provider"]["use_internal_ips"] is True
    assert "--dashboard-host=127.0.0.1" in " ".join(cluster["head_start_ray_commands"])
    assert "0.0.0.0" not in (ROOT / "cluster.yaml").read_text()


@pytest.mark.parametrize("name", ["cluster.yaml", "deploy/rayjob.yaml", "Dockerfile"])
def test_no_secret_is_written_down(name):
    text = (ROOT / name).read_text()
    assert not re.search(r"AKIA|aws_secret|secret_access_key|password|token:", text, re.IGNORECASE)


def test_the_job_on_kubernetes():
    _, job = yaml.safe_load_all((ROOT / "deploy" / "rayjob.yaml").read_text())
    spec = job["spec"]["rayClusterSpec"]
    assert spec["rayVersion"] == ray.__version__
    assert spec["enableInTreeAutoscaling"] is True
    assert job["spec"]["shutdownAfterJobFinishes"] is True
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert all(group["minReplicas"] == 0 < group["maxReplicas"] for group in spec["workerGroupSpecs"])
    images = {group["template"]["spec"]["containers"][0]["image"] for group in spec["workerGroupSpecs"]}
    assert images == {spec["headGroupSpec"]["template"]["spec"]["containers"][0]["image"]}
    assert images == {yaml.safe_load((ROOT / "cluster.yaml").read_text())["docker"]["image"]}


def test_the_job_file_in_the_config_map_is_one():
    from pipeline.config import parse_job

    config, job = yaml.safe_load_all((ROOT / "deploy" / "rayjob.yaml").read_text())
    assert parse_job(yaml.safe_load(config["data"]["job.yaml"])).compute.max_actors == 10
    assert "/etc/deepot/job.yaml" in job["spec"]["entrypoint"]


def test_the_image_holds_what_is_pinned():
    dockerfile, pins = (ROOT / "Dockerfile").read_text(), (ROOT / "constraints.txt").read_text()
    assert "-c constraints.txt" in dockerfile
    assert f"ray=={ray.__version__}" in pins
    for copied in re.findall(r"^COPY (.*) \S+$", dockerfile, re.MULTILINE):
        assert all((ROOT / name).exists() for name in copied.split())
