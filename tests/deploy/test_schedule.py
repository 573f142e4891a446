"""Examples for schedulers: cron's command is run as cron runs it, and the commands of the others are valid."""

import ast
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
import yaml

from jobs.cli import _build_parser
from pipeline.config.loading import parse_job
from pipeline.runs.paths import RunPaths
from tests.support.in_process_pool import run_in_process
from tests.support.photos import small_job_config, write_photos
from tests.support.selections import select_rows

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


def crontab():
    """Its variables, schedules and commands."""
    lines = [line for line in (DEPLOY / "crontab").read_text().splitlines() if line and line[0] != "#"]
    variables = dict(line.split("=", 1) for line in lines if re.match(r"\w+=", line))
    entries = [line.split(None, 5) for line in lines if not re.match(r"\w+=", line)]
    return variables, [(" ".join(entry[:5]), entry[5]) for entry in entries]


@pytest.fixture
def cron(tmp_path):
    """Runs the command of the crontab as cron does: sh, a bare environment and the variables of the file."""
    variables, ((_, command),) = crontab()
    assert "%" not in command, "cron makes a new line of it"
    program = tmp_path / "deepot"
    filled = {"DEEPOT": str(program), "JOB": str(tmp_path / "job.yaml"), "LOG": str(tmp_path / "job.log")}
    assert set(variables) == set(filled)
    environment = {"HOME": str(tmp_path), "LOGNAME": "photos", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"} | filled

    def run(script):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return run


@pytest.mark.soak
def test_crontab_run_by_cron_processes_photos(cron, tmp_path):
    """A whole run, with Ray and the embedded autoencoder."""
    write_photos(tmp_path / "photos", 2)
    job = {"input": {"images": "photos"}, "calibration": {"degradation": "blur:sigma=1"}, "output": {"uri": "enhanced"}}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job | {"compute": {"workers": 1}}))
    process = cron(f'PYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.quote(sys.executable)} -m jobs.cli "$@"')
    mailed, _ = process.communicate(timeout=240)
    log = (tmp_path / "job.log").read_text()
    assert mailed == "", log
    lines = [json.loads(line) for line in log.splitlines()]
    (record,) = [line for line in lines if "done_now" in line]
    assert (record["ok"], record["done_now"], record["missing"]) == (2, 2, 0)
    assert len(list((tmp_path / "enhanced").rglob("*.png"))) == 2


def test_crontab_mails_a_failed_night_and_leaves_a_running_one_alone(cron, tmp_path):
    (tmp_path / "job.yaml").touch()
    mailed, _ = cron("echo 1; echo 2; echo 3; echo it failed >&2; exit 2").communicate()
    assert mailed == "2\n3\nit failed\n"
    assert (tmp_path / "job.log").read_text() == "1\n2\n3\nit failed\n"
    (tmp_path / "job.log").unlink()
    first = cron('echo "$@"; touch begun; while [ ! -e end ]; do sleep 0.05; done')
    while not (tmp_path / "begun").exists():
        assert first.poll() is None
    second = cron("touch twice")
    assert (second.communicate()[0], second.returncode) == ("", 0), "nothing is mailed"
    (tmp_path / "end").touch()
    assert first.communicate() == ("", None)
    assert not (tmp_path / "twice").exists()
    assert (tmp_path / "job.log").read_text() == f"run {tmp_path}/job.yaml --retry-failed --json --log-format json\n"


def dag():
    """Its command, and the settings of its calls."""
    source = (DEPLOY / "airflow_dag.py").read_text()
    compile(source, "airflow_dag.py", "exec")
    nodes = list(ast.walk(ast.parse(source)))
    assigned = {node.targets[0].id: node.value for node in nodes if isinstance(node, ast.Assign)}
    assert assigned["run"].keywords[1].value.id == "COMMAND"
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    settings = {
        call.func.id: {word.arg: word.value.value for word in call.keywords if isinstance(word.value, ast.Constant)}
        for call in calls
        if isinstance(call.func, ast.Name)
    }
    return assigned["COMMAND"].value, settings


def test_dag_has_a_valid_command():
    command, settings = dag()
    assert settings["DAG"].items() >= {"catchup": False, "max_active_runs": 1}.items()
    assert_schedule(settings["DAG"]["schedule"])
    submitted = command.replace("\\\n", " ").partition(" -- ")[2].partition(" 2>&1")[0]
    assert_valid_command(submitted)
    assert "--address auto" in submitted, "it runs on the cluster"
    assert not re.search(r"\{[{%#]", command), "Airflow takes it for a template"


@pytest.fixture
def airflow(tmp_path):
    """Runs the DAG's command as Airflow does, with a script in the place of `ray`, which notes its arguments."""
    program = tmp_path / "ray"
    command = dag()[0].replace("/opt/deepot/.venv/bin/ray", str(program))

    def run(script):
        program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n[ "$2" = stop ] && exit\n{script}\n')
        program.chmod(0o755)
        return subprocess.Popen(
            ["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )

    return run


def calls(tmp_path):
    return [line.split() for line in (tmp_path / "calls").read_text().splitlines()]


@pytest.mark.parametrize("status", [0, 1])
def test_dag_passes_on_the_summary_and_the_exit_status(airflow, tmp_path, status):
    process = airflow(f"""echo begun; echo '{{"run": "r", "ok": 4}}'; echo it ended >&2; exit {status}""")
    printed, _ = process.communicate()
    assert process.returncode == status
    assert printed.splitlines()[:3] == ["begun", '{"run": "r", "ok": 4}', "it ended"]
    assert json.loads(printed.splitlines()[-1]) == {"run": "r", "ok": 4}
    submit, stop = calls(tmp_path)
    assert (submit[:2], stop[:2]) == (["job", "submit"], ["job", "stop"])
    assert submit[submit.index("--submission-id") + 1] == stop[-1]
    assert submit[submit.index("--address") + 1] == stop[stop.index("--address") + 1] == "http://HEAD:8265"


def test_dag_killed_task_stops_its_job(airflow, tmp_path):
    process = airflow("while true; do sleep 0.05; done")
    while not (tmp_path / "calls").exists():
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate()
    submit, *stops = [call[1] for call in calls(tmp_path)]
    assert (submit, set(stops)) == ("submit", {"stop"}), "a shell that awk has not replaced yet may stop it, too"


def test_workflow_has_a_valid_command():
    text = (DEPLOY / "github-workflow.yml").read_text()
    workflow = yaml.safe_load(text)
    triggers, (job,) = workflow[True], workflow["jobs"].values()  # YAML 1.1 reads `on` as true
    assert_schedule(triggers["schedule"][0]["cron"])
    assert workflow["concurrency"]["cancel-in-progress"] is False
    assert workflow["permissions"] == {"contents": "read", "id-token": "write"}
    assert all("@v" in step["uses"] for step in job["steps"] if "uses" in step)
    assert job["timeout-minutes"] < 360, "the most that a runner of GitHub has"
    assert_valid_command(job["steps"][-1]["run"])
    assert not re.search(r"AKIA|secret_access_key|password", text, re.IGNORECASE)


def test_crontab_has_a_valid_schedule_and_command():
    _, ((schedule, command),) = crontab()
    assert_schedule(schedule)
    assert_valid_command("deepot run JOB" + command.partition('run "$JOB"')[2].partition(" >>")[0])


def test_documented_query_returns_the_latest_rows(tmp_path):
    """The one in the documentation, on a run with a second version of a photo and a part that nothing names."""
    job = parse_job(small_job_config(tmp_path, 4))
    run_in_process(job)
    write_photos(tmp_path / "restored", 1, restored=False)
    run = run_in_process(job).run
    parts = sorted((Path(run) / "manifest").glob("*.parquet"))
    (parts[0].with_name("99999-1-deadbeef.parquet")).write_bytes(parts[0].read_bytes())
    (query,) = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "schedule.md").read_text(), re.DOTALL)
    found = duckdb.sql(query.replace("RUN/", f"{run}/")).order("file_name").to_arrow_table()
    expected = select_rows(RunPaths(run))
    assert len(expected) == 4
    assert found.select(expected.column_names).to_pylist() == expected.to_pylist()


def assert_valid_command(command):
    """Assert that deepot has a command and all of its flags."""
    program, *arguments = shlex.split(command)
    assert Path(program).name == "deepot"
    options = _build_parser().parse_args(arguments)
    assert (options.command, options.json) == ("run", True)


def assert_schedule(text):
    assert re.fullmatch(r"\d+ \d+ \* \* \*", text)
