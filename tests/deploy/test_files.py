"""The deployment files: valid for Ray, without open ports or secrets, and with the packages of the lock file."""

import re
import tomllib
from pathlib import Path

import pytest
import ray
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ray.autoscaler._private.aws.config import _check_ami
from ray.autoscaler._private.util import prepare_config, validate_config

from pipeline.config.loading import parse_job
from pipeline.workers.resources import WorkerResources, plan_workers

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


def test_cluster_asks_for_a_token_that_is_in_no_file(cluster):
    """The containers of all machines have the variables, and `ray up` copies the token to where they point."""
    variables = dict(option.removeprefix("--env ").split("=") for option in cluster["docker"]["run_options"])
    assert variables["RAY_AUTH_MODE"] == "token" and "RAY_AUTH_TOKEN" not in variables
    assert cluster["file_mounts"] == {variables["RAY_AUTH_TOKEN_PATH"]: "~/.ray/auth_token"}
    home = re.search(r"^ENV HOME=(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[1]
    assert variables["RAY_AUTH_TOKEN_PATH"] == f"{home}/.ray/auth_token"


@pytest.mark.parametrize("name", ["cluster.yaml", "deploy/rayjob.yaml", "Dockerfile"])
def test_deployment_file_has_no_secret(name):
    text = (ROOT / name).read_text().replace("get-login-password", "").replace("--password-stdin", "")
    assert not re.search(r"AKIA|aws_secret|secret_access_key|password|token:", text, re.IGNORECASE)


def rayjob():
    """Its job file, the RayJob and the NetworkPolicy."""
    config, job, policy = yaml.safe_load_all((ROOT / "deploy" / "rayjob.yaml").read_text())
    return config, job, policy


def rayjob_pods(job):
    """The pod templates of the head and of the worker groups."""
    spec = job["spec"]["rayClusterSpec"]
    return [group["template"] for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"])]


def test_rayjob_asks_for_a_token_and_has_no_public_address():
    _, job, _ = rayjob()
    spec = job["spec"]["rayClusterSpec"]
    assert spec["authOptions"] == {"mode": "token"}
    assert tuple(map(int, spec["rayVersion"].split("."))) >= (2, 52), "the first with tokens"
    assert spec["headGroupSpec"]["serviceType"] == "ClusterIP"
    text = (ROOT / "deploy" / "rayjob.yaml").read_text()
    assert not re.search(r"enableIngress|kind: Ingress|LoadBalancer|NodePort|hostNetwork|hostPort|0\.0\.0\.0", text)


def test_rayjob_policy_lets_only_its_own_pods_the_submitter_and_the_operator_in():
    _, job, policy = rayjob()
    assert (policy["apiVersion"], policy["kind"]) == ("networking.k8s.io/v1", "NetworkPolicy")
    own = policy["spec"]["podSelector"]
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    assert own["matchLabels"] and all(pod["metadata"]["labels"] == own["matchLabels"] for pod in rayjob_pods(job))
    inside, outside = policy["spec"]["ingress"]
    assert inside == {"from": [{"podSelector": own}]}
    assert outside["ports"] == [{"protocol": "TCP", "port": 8265}], "the job server"
    submitter, operator = outside["from"]
    assert submitter == {"podSelector": {"matchLabels": {"job-name": job["metadata"]["name"]}}}
    assert operator["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "kuberay-operator"}}


def test_rayjob_pods_run_without_root_or_privileges():
    _, job, _ = rayjob()
    for pod in rayjob_pods(job):
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        (container,) = pod["spec"]["containers"]
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def test_rayjob_agrees_with_the_cluster_and_the_installed_ray():
    _, job, _ = rayjob()
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
    _, job, _ = rayjob()
    spec = job["spec"]["rayClusterSpec"]
    head, *workers = (group["template"]["spec"] for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]))
    assert head["nodeSelector"] == {"eks.amazonaws.com/capacityType": "ON_DEMAND"}
    assert "tolerations" not in head
    for worker in workers:
        assert worker["nodeSelector"] == {"eks.amazonaws.com/capacityType": "SPOT"}
        assert {"key": "spot", "operator": "Exists", "effect": "NoSchedule"} in worker["tolerations"]


def test_rayjob_scales_up_the_group_that_its_job_needs():
    """With no worker started yet: each needs a GPU, so pods of the gpu group are started."""
    config, job, _ = rayjob()
    assert "/etc/deepot/job.yaml" in job["spec"]["entrypoint"]
    compute = parse_job(yaml.safe_load(config["data"]["job.yaml"])).compute
    groups = {group["groupName"]: group for group in job["spec"]["rayClusterSpec"]["workerGroupSpecs"]}
    assert plan_workers([{"CPU": 0.0}], compute) == WorkerResources(groups["gpu"]["maxReplicas"], 0.0, 1.0)
    otherwise = compute.model_copy(update={"gpus_per_worker": 0})
    assert plan_workers([{"CPU": 0.0}], otherwise) == WorkerResources(10, 1.0, 0.0)


def dockerfile():
    """Its instructions, each with its arguments on one line."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line and line[0] != "#"]


def test_dockerfile_installs_the_locked_packages_alone():
    installs = [arguments for name, arguments in dockerfile() if name == "RUN" and "pip install" in arguments]
    locked, own = installs
    assert {"--no-deps", "--require-hashes", "-r requirements.lock"} <= set(re.findall(r"-r \S+|--\S+", locked))
    assert {"--no-deps", "--no-build-isolation"} <= set(own.split()), "it needs nothing that the lock does not have"
    (base,) = [arguments for name, arguments in dockerfile() if name == "FROM"]
    assert base.startswith("python:3.11-"), "the Python of the lock"
    copied = [name for word, arguments in dockerfile() if word == "COPY" for name in arguments.split()[:-1]]
    assert all((ROOT / name).exists() for name in copied)
    assert set((ROOT / ".dockerignore").read_text().split()) == {
        "*",
        "**/__pycache__",
        *(f"!{name}" for name in copied),
    }


def test_dockerfile_runs_as_a_user_without_privileges_whose_home_any_user_of_group_0_can_write():
    """A number, as Kubernetes refuses names where pods must not be root; OpenShift picks a number of its own."""
    instructions = dockerfile()
    users = [arguments for name, arguments in instructions if name == "USER"]
    assert users == ["1000:0"]
    after = instructions[instructions.index(("USER", "1000:0")) :]
    assert not [name for name, _ in after if name in ("RUN", "COPY", "ADD")], "everything else belongs to root"
    (home,) = re.findall(r"\bHOME=(\S+)", " ".join(arguments for name, arguments in instructions if name == "ENV"))
    (setup,) = [arguments for name, arguments in instructions if name == "RUN" and "useradd" in arguments]
    assert "--uid 1000 --gid 0 --create-home" in setup and f"chmod -R g=u {home}" in setup
    assert [arguments for name, arguments in instructions if name == "WORKDIR"][-1] == home


def locked_packages():
    """Name → version and hashes."""
    found = re.findall(r"^([\w.-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", lock_text(), re.MULTILINE)
    return {canonicalize_name(name): (version, hashes.split("--hash=")[1:]) for name, version, hashes in found}


def lock_text():
    return (ROOT / "requirements.lock").read_text()


def test_lock_has_hashes_for_every_package_and_no_index():
    lines = [line for line in lock_text().splitlines() if line and line[0] not in "# "]
    assert len(lines) == len(locked_packages()) > 100
    assert not re.search(r"://|--(?!hash=sha256)|@|/", lock_text())


def test_lock_has_the_versions_of_the_constraints():
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    pinned = {canonicalize_name(name): version for name, version in pins.items()}
    locked = {name: version for name, (version, _) in locked_packages().items()}
    assert pinned["ray"] == ray.__version__
    assert {name: version for name, version in locked.items() if pinned.get(name, version) != version} == {}
    only_with_cuda = re.compile(r"nvidia-.*|cuda-.*|triton")
    assert all(only_with_cuda.fullmatch(name) for name in locked.keys() - pinned.keys())


def test_lock_has_everything_that_the_image_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    needed = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    needed += [each for name in ("cluster", "formats", "restorers") for each in extras[name]]
    locked = locked_packages()
    for requirement in map(Requirement, needed):
        version, _ = locked[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement


def test_notice_names_what_the_embedded_weights_were_made_from():
    notice = (ROOT / "NOTICE").read_text()
    photos = (ROOT / "tools" / "embedded_autoencoder" / "debian_photos.txt").read_text().splitlines()
    packages = {line.split()[0] for line in photos if line[0] != "#"}
    assert len(packages) == 4 and all(f"  {package}: " in notice for package in packages)
    assert all(name in notice for name in ("TAEF2", "MIT licence", "BSDS500", "non-commercial", "CC-BY-SA", "GPL-2"))
    assert f"{sum(line[0] != '#' for line in photos)} photos of packages of Debian" in notice
