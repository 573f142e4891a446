"""docs/cluster.md: it leads with `ray job submit`, and its commands and settings are those of the files and of Ray."""

import json
import re
import shlex
from pathlib import Path

import pytest
from ray.dashboard.modules.job.cli import submit
from ray.runtime_env import RuntimeEnv

from jobs.cli import _build_parser
from pipeline.workers import SharedStorage

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cluster.md").read_text()
COMMANDS = re.findall(r"^ {4,}((?=ray|docker|kubectl)(?:.*\\\n)*.*)", PAGE, re.MULTILINE)


def submissions():
    """Each `ray job submit` of the page: its own arguments, and the command that it submits."""
    lines = [shlex.split(command.replace("\\\n", " ")) for command in COMMANDS if command.startswith("ray job submit")]
    return [(words[3 : words.index("--")], words[words.index("--") + 1 :]) for words in lines]


def test_page_leads_with_ray_job_submit():
    assert COMMANDS[0].startswith("ray job submit --address http://HEAD:8265")
    assert "ray exec" not in PAGE and "/root/" not in PAGE


@pytest.mark.parametrize(("options", "command"), submissions())
def test_submitted_command_is_valid_for_ray_and_deepot(options, command):
    parsed = submit.make_context("submit", [*options, "--", *command])
    assert tuple(parsed.params["entrypoint"]) == tuple(command)
    assert command[:2] == ["deepot", "run"]
    arguments = _build_parser().parse_args(command[1:])
    assert (arguments.address, arguments.json) == ("auto", True)


def test_page_hands_credentials_to_workers_by_roles_and_by_the_runtime_environment():
    (runtime_env,) = [
        json.loads(options[options.index("--runtime-env-json") + 1])
        for options, _ in submissions()
        if "--runtime-env-json" in options
    ]
    assert set(runtime_env) == {"env_vars"} and RuntimeEnv(**runtime_env)
    section = PAGE.partition("## Credentials")[2].partition("\n## ")[0]
    assert "Instance profiles" in section and "service accounts" in section


def test_page_shows_the_sentence_of_a_node_without_the_folder(monkeypatch):
    shown = " ".join(re.search(r"^ {4}the worker on node .*\n.*", PAGE, re.MULTILINE)[0].split()).removesuffix(" …")
    monkeypatch.setattr("socket.gethostname", lambda: "ip-10-0-0-8")
    with pytest.raises(Exception) as raised:
        SharedStorage("ip-10-0-0-7")._refuse(
            "/data/enhanced", "the file that the driver has just written there is missing"
        )
    assert str(raised.value).startswith(shown)
