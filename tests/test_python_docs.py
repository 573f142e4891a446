"""The job of docs/python.md: its blocks run one after the other, and use the public names of `pipeline`."""

import ast
import re
from dataclasses import fields
from pathlib import Path

import pytest

import pipeline
from deepot.errors import DeepotError
from tests.support.photos import write_photos

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "python.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## A job from Python")[2]
BLOCKS = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)


@pytest.mark.usefixtures("in_process", "without_plots")
def test_blocks_of_the_section_run_one_after_the_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / "scans", 3)
    (tmp_path / "scans.yaml").write_text("{input: scans, output: enhanced, calibration: {degradation: 'blur:sigma=1'}}")
    names = {}
    printed = []
    for block in BLOCKS:
        exec(block, names)
        printed.append(capsys.readouterr().out)
    assert printed[0] == "3 3 0 0\n", "and nothing is printed by the job itself"
    assert printed[2] == "tone: 3 of 3\nmoments: 3 of 3\nchange: 3 of 3\napply: 3 of 3\n"
    rows = [ast.literal_eval(line) for line in printed[3].splitlines()[:-1]]
    assert [row["status"] for row in rows] == ["ok"] * 3
    assert all(Path(row["output_uri"]).is_file() for row in rows)
    assert {Path(row["output_uri"]).relative_to(tmp_path).parts[0] for row in rows} == {"from-python"}
    assert printed[3].splitlines()[-1] == "True"
    assert pipeline.find_run_of_job(names["job"]).uri == names["summary"].run


def test_section_names_every_option_of_a_run_but_those_of_its_examples():
    table = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", SECTION, re.MULTILINE)))
    assert {*table, "progress"} == {field.name for field in fields(pipeline.RunOptions)}


def test_section_uses_the_public_names_of_pipeline():
    used = set(re.findall(r"pipeline\.(\w+)", SECTION))
    assert used <= set(pipeline.__all__)
    assert set(pipeline.__all__) - used - {"Job", "Progress", "RunSummary", "PipelineError"} == set()


def test_public_names_of_pipeline_raise_the_errors_that_the_section_names(tmp_path):
    with pytest.raises(pipeline.PipelineError, match="there is no job file"):
        pipeline.load_job(tmp_path / "no.yaml")
    assert issubclass(pipeline.PipelineError, DeepotError)
    empty = tmp_path / "empty"
    empty.mkdir()
    job = pipeline.parse_job(
        {"input": str(empty), "output": str(tmp_path / "out"), "calibration": {"degradation": "blur:sigma=1"}}
    )
    with pytest.raises(pipeline.PipelineError, match="has no run"):
        pipeline.find_run_of_job(job)
