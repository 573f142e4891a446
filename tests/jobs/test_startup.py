"""What a command imports: modules are counted, as seconds depend on the machine (`benchmarks/bench_startup.py`)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.cli import COMMANDS
from pipeline.config import load_job
from pipeline.runs.commits import commit
from pipeline.runs.manifest import write_manifest_file
from pipeline.runs.paths import RunPaths
from pipeline.runs.planning import extend_plan
from pipeline.runs.rows import new_row
from pipeline.storage.objects import Entry, write

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"torch", "ray", "duckdb", "diffusers", "matplotlib", "scipy", "PIL", "aiohttp", "imagecodecs", "tifffile"}
TABLES = {"pyarrow", "numpy"}
RUN_COMMAND = """
import json, sys
from jobs.cli import main
try:
    status = main(sys.argv[1:])
except SystemExit as ended:
    status = ended.code
print(json.dumps([status, sorted(sys.modules)]))
"""
IMPORT_ALL_THAT_A_JOB_NEEDS = """
import json, sys
from pipeline.stages import run_job
print(json.dumps([0, sorted(sys.modules)]))
"""


def imported_by(program, *arguments):
    process = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    status, modules = json.loads(process.stdout.splitlines()[-1])
    assert status == 0, process.stderr
    return set(modules)


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], *([command, "--help"] for command in COMMANDS)])
def test_help_imports_no_large_library(arguments):
    assert not imported_by(RUN_COMMAND, *arguments) & (HEAVY | TABLES)


def test_help_imports_no_command():
    modules = imported_by(RUN_COMMAND, "--help")
    assert not modules & {f"jobs.{command}" for command in COMMANDS}


def test_status_imports_no_large_library_but_that_of_the_plan(tmp_path):
    run = RunPaths(str(tmp_path / "run"))
    write(run.run_json, b"{}")
    entries = [Entry(f"u{number}", f"k{number}", 1, "", 0.0) for number in range(4)]
    extend_plan(run, entries, 4)
    commit(run, 0, [write_manifest_file(run, "00000-1-x.parquet", [new_row(entry, 0, 1) for entry in entries])])
    modules = imported_by(RUN_COMMAND, "status", run.uri)
    assert "pyarrow" in modules, "the plan was read"
    assert not modules & (HEAVY | {"pydantic"})


def test_status_of_a_job_file_imports_no_large_library_but_that_of_the_plan(tmp_path):
    (tmp_path / "in").mkdir()
    job = tmp_path / "job.yaml"
    job.write_text(f"input: {tmp_path}/in\noutput: {tmp_path}/out\ncalibration: {{degradation: 'blur:sigma=1'}}\n")
    loaded = load_job(job)
    run = RunPaths(f"{tmp_path}/out/_deepot/0")
    stored = {"job": loaded.model_dump(mode="json"), "started": ""}
    write(run.run_json, json.dumps(stored).encode())
    extend_plan(run, [Entry("u", "k", 1, "", 0.0)], 4)
    assert not imported_by(RUN_COMMAND, "status", str(job)) & HEAVY


def test_job_imports_only_what_every_job_needs():
    modules = imported_by(IMPORT_ALL_THAT_A_JOB_NEEDS)
    assert "torch" in modules
    assert not modules & {"ray", "duckdb", "diffusers", "matplotlib", "scipy", "aiohttp"}
