"""The workflows of this repository: valid, without more rights than they need, and made of targets of the Makefile."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps_of(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_reads_only_and_every_job_ends(path):
    workflow = load(path)
    assert workflow["name"] == path.stem and workflow["permissions"] == {"contents": "read"}
    assert set(workflow[True]) == {"push", "pull_request"}  # YAML 1.1 reads `on` as true
    assert all(job["timeout-minutes"] <= 60 for job in workflow["jobs"].values())
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) for step in steps_of(workflow) if "uses" in step)
    assert not re.search(r"secrets\.|pull_request_target|password", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_runs_targets_of_the_makefile(path):
    commands = [step["run"] for step in steps_of(load(path)) if "run" in step]
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert commands and all(command.removeprefix("make ") in targets for command in commands)


def test_site_is_published_from_main_alone_and_after_it_was_built():
    workflow = load(ROOT / ".github" / "workflows" / "docs.yml")
    publish = workflow["jobs"]["publish"]
    assert workflow[True]["push"] == {"branches": ["main"]}
    assert publish["if"] == "github.event_name == 'push'" and publish["needs"] == "build"
    assert publish["permissions"] == {"pages": "write", "id-token": "write"}
    (upload,) = [step for step in steps_of(workflow) if "upload-pages-artifact" in step.get("uses", "")]
    assert upload["with"]["path"] == site_folder()


def site_folder():
    return re.search(r"^site_dir: (\w+)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)[1]
