"""The JSON Schema of job files agrees with what the program accepts."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from jobs.cli import main
from pipeline.config import parse_job

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"input": "in", "output": "out", "calibration": {"degradation": "noise:sigma=5"}}


@pytest.fixture
def schema(capsys):
    assert main(["schema"]) == 0
    return json.loads(capsys.readouterr().out)


def test_schema_accepts_the_job_file_of_the_readme(schema):
    text = re.search(r"^    name: scans-1912\n(?:    .*\n)+", (ROOT / "README.md").read_text(), re.MULTILINE)[0]
    content = yaml.safe_load(re.sub(r"^    ", "", text, flags=re.MULTILINE))
    jsonschema.validate(content, schema)
    parse_job(content)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"input": {"images": "in", "exclude": "*.tmp"}},
        {"input": {"images": "in", "exclude": ["*.tmp", "old/*"]}},
        {"transport": {"alpha": 0.25, "mode": "detail", "preserve": "chroma"}},
        {"transport": {"alpha": "min-error"}, "calibration": {"reference": "r", "degradation": "blur:sigma=1"}},
        {"compute": {"pool": "local", "workers": 3}},
    ],
)
def test_schema_accepts_what_the_program_accepts(schema, changes):
    jsonschema.validate(SMALL | changes, schema)
    parse_job(SMALL | changes)


@pytest.mark.parametrize(
    "changes",
    [{"inputt": "in"}, {"input": 3}, {"transport": {"alpha": "half"}}, {"compute": {"workers": 0}}, {"output": None}],
)
def test_schema_refuses_what_the_program_refuses(schema, changes):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(SMALL | changes, schema)
