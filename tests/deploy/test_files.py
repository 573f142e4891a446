"""The deployment files: valid for Ray, without open ports or secrets, and with the versions of constraints.txt."""

import re
from pathlib import Path

import pytest
import ray
import yaml
from ray.autoscaler._private.aws.config import _check_ami
from ray.autoscaler._private.util import prepare_config, validate_config

from pipeline.cluster.resources import WorkerResources, plan_workers
from pipeline.config.loading import parse_job

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def cluster():
    return yaml.safe_load((ROOT / "cluster.yaml").read_text())


def test_cluster_is_valid_for_ray(cluster):
    """With the schema that `ray up` checks, before and after the defaults are filled in."""
    prepared = prepare_config(cluster)
    validate_config(prepared)
    assert prepared["available_node_types"]["gpu"]["max_workers"] == 10
    with pytest.raises(Exception, match="Additional properties are not allowed"):
        validate_config(prepared | {"auth": prepared["auth"] | {"password": "x"}})


def test_cluster_names_every_image_itself(cluster):
    """Ray's default image is of 2023, and its driver is too old for current PyTorch."""
    prepared = prepare_config(cluster)
    chosen = {name: kind["node_config"].get("ImageId") for name, kind in prepared["available_node_types"].items()}
    assert all(image and image.startswith("ami-") for image in chosen.values())
    _check_ami(prepared)
    assert {name: kind["node_config"]["ImageId"] for name, kind in prepared["available_node_types"].items()} == chosen
    assert all(volume_size(kind) >= 200 for kind in prepared["available_node_types"].values())


def volume_size(kind):
    (volume,) = kind["node_config"]["BlockDeviceMappings"]
    return volume["Ebs"]["VolumeSize"]


def test_cluster_marks_every_line_that_depends_on_an_account_or_a_region(cluster):
    """The documentation has the number of marks."""
    text = (ROOT / "cluster.yaml").read_text()
    head, *lines = text.splitlines()
    marked = [line for line in lines if "# HERE" in line]
    keys = "region", "image", "ImageId", "SubnetIds", "SecurityGroupIds", "IamInstanceProfile"
    assert all(sum(line.strip().startswith(f"{key}: ") for line in marked) == 1 for key in keys)
    assert all("# HERE" in line for line in lines if re.search(r"REGISTRY|-0{17}|^ *region:|^ *- aws ", line))
    number = {7: "seven"}[len(marked)]
    assert f"Fill in the {number} lines marked HERE" in head
    assert f"Fill in the {number} lines of `cluster.yaml` that say HERE" in (ROOT / "docs" / "cluster.md").read_text()


def test_cluster_machines_log_in_to_the_registry_of_the_image(cluster):
    (login,) = cluster["initialization_commands"]
    assert login.endswith(f"--password-stdin {cluster['docker']['image'].partition('/')[0]}")
    assert f"--region {cluster['provider']['region']}" in login


def test_cluster_containers_get_the_gpu(cluster):
    """NVIDIA's runtime gives a GPU only to containers whose environment asks for it."""
    assert "--env NVIDIA_VISIBLE_DEVICES=all" in cluster["docker"]["run_options"]


def test_cluster_head_is_on_demand_without_work_and_workers_are_spot(cluster):
    types = cluster["available_node_types"]
    head, workers = types.pop("head"), list(types.values())
    assert head["resources"] == {"CPU": 0, "GPU": 0}
    assert "InstanceMarketOptions" not in head["node_config"]
    assert len(workers) == 2
    assert all(worker["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"} for worker in workers)
    assert all(worker["min_workers"] == 0 for worker in workers)
    assert cluster["idle_timeout_minutes"] <= 5


def test_cluster_has_no_open_port(cluster):
    assert all("SecurityGroupIds" in each["node_config"] for each in cluster["available_node_types"].values())
    assert cluster["provider"]["use_internal_ips"] is True
    assert "--dashboard-host=127.0.0.1" in " ".join(cluster["head_start_ray_commands"])
    assert "0.0.0.0" not in (ROOT / "cluster.yaml").read_text()


@pytest.mark.parametrize("name", ["cluster.yaml", "deploy/rayjob.yaml", "Dockerfile"])
def test_deployment_file_has_no_secret(name):
    text = (ROOT / name).read_text().replace("get-login-password", "").replace("--password-stdin", "")
    assert not re.search(r"AKIA|aws_secret|secret_access_key|password|token:", text, re.IGNORECASE)


def test_rayjob_agrees_with_the_cluster_and_the_installed_ray():
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
    assert job["spec"]["backoffLimit"] == 0, "exit status 1 and 2 would be the same on another cluster"


def test_rayjob_head_is_on_demand_and_workers_are_spot():
    _, job = yaml.safe_load_all((ROOT / "deploy" / "rayjob.yaml").read_text())
    spec = job["spec"]["rayClusterSpec"]
    head, *workers = (group["template"]["spec"] for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]))
    assert head["nodeSelector"] == {"eks.amazonaws.com/capacityType": "ON_DEMAND"}
    assert "tolerations" not in head
    for worker in workers:
        assert worker["nodeSelector"] == {"eks.amazonaws.com/capacityType": "SPOT"}
        assert {"key": "spot", "operator": "Exists", "effect": "NoSchedule"} in worker["tolerations"]


def test_rayjob_scales_up_the_group_that_its_job_needs():
    """With no worker started yet: each needs a GPU, so pods of the gpu group are started."""
    config, job = yaml.safe_load_all((ROOT / "deploy" / "rayjob.yaml").read_text())
    assert "/etc/deepot/job.yaml" in job["spec"]["entrypoint"]
    compute = parse_job(yaml.safe_load(config["data"]["job.yaml"])).compute
    groups = {group["groupName"]: group for group in job["spec"]["rayClusterSpec"]["workerGroupSpecs"]}
    assert plan_workers([{"CPU": 0.0}], compute) == WorkerResources(groups["gpu"]["maxReplicas"], 0.0, 1.0)
    otherwise = compute.model_copy(update={"gpus_per_worker": 0})
    assert plan_workers([{"CPU": 0.0}], otherwise) == WorkerResources(10, 1.0, 0.0)


def test_dockerfile_installs_the_pinned_versions():
    dockerfile, pins = (ROOT / "Dockerfile").read_text(), (ROOT / "constraints.txt").read_text()
    assert "-c constraints.txt" in dockerfile
    assert f"ray=={ray.__version__}" in pins
    for copied in re.findall(r"^COPY (.*) \S+$", dockerfile, re.MULTILINE):
        assert all((ROOT / name).exists() for name in copied.split())
