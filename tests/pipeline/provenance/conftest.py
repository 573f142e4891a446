"""Runs with rows of every kind, without photos."""

import json

import pytest

from pipeline.config import parse_job
from pipeline.runs.commits import commit
from pipeline.runs.manifest import write_manifest_file
from pipeline.runs.paths import RunPaths
from pipeline.runs.rows import new_row
from pipeline.storage.objects import write
from pipeline.storage.store import Entry
from tests.support.photos import small_job_config

STATUSES = ("ok", "failed", "skipped", "rejected")
CODES = {"failed": "damaged", "skipped": "too_large"}


def make_row(folder, number, status="ok", shard=0, **columns):
    """A row of the manifest, with what rows of that status have."""
    name = f"box/photo {number}.jpg"
    row = new_row(Entry(f"{folder}/restored/{name}", name, 1000 + number, "", 0.0), shard, 1)
    row |= {"status": status, "code_version": "9.9", "format": "JPEG", "input_sha256": f"{number:064x}"}
    if status in CODES:
        row |= {"error_code": CODES[status], "error_message": "it ends at byte 7"}
    else:
        row |= {"output_uri": f"{folder}/enhanced/{name}", "output_sha256": f"{number + 500:064x}", "output_bytes": 900}
    if status == "ok":
        row |= {"alpha": 0.25, "map_sha256": "ab" * 32}
    return row | columns


def write_run(folder, shards, name="f" * 16, **changes):
    """A run with the given rows in its shards, and a job that `changes` change."""
    job = parse_job(small_job_config(folder, 1, 1, **changes))
    run = RunPaths(f"{folder}/enhanced/_deepot/{name}")
    about = {"job": job.model_dump(mode="json"), "started": "2026-01-02T03:04:05+00:00"}
    write(run.run_json, json.dumps(about).encode())
    for number, rows in enumerate(shards):
        commit_rows(run, number, rows)
    return run


def commit_rows(run, number, rows, attempt=1):
    """Commit rows as a shard."""
    assert commit(run, number, [write_manifest_file(run, f"{number:05d}-{attempt}-x.parquet", rows)])


@pytest.fixture
def run(tmp_path):
    """A run of two shards with rows of all statuses."""
    rows = [make_row(tmp_path, number, status) for number, status in enumerate(STATUSES)]
    return write_run(tmp_path, [rows, [make_row(tmp_path, 9, shard=1)]], restorer="nlm:sigma=50")
