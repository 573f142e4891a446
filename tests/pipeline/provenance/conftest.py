"""Runs with rows of every kind, without photos."""

import io
import json

import pytest

from pipeline.config import parse_job
from pipeline.runs.commits import commit
from pipeline.runs.manifest import write_manifest_file
from pipeline.runs.paths import RunPaths
from pipeline.runs.rows import new_row
from pipeline.storage.objects import sha256_hex, write
from pipeline.storage.store import Entry
from tests.support.photos import make_photo, small_job_config

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


def encode_photo(kind="JPEG", seed=0, **options):
    """The bytes of a small photo."""
    with io.BytesIO() as file:
        make_photo(seed).save(file, kind, **options)
        return file.getvalue()


def add_photo(folder, number, source=None, result=None, kind="JPEG", **columns):
    """Write a photo and its result, and return their row."""
    source, result = source or encode_photo(kind, number), result or encode_photo(kind, 100 + number)
    suffix = {"JPEG": "jpg"}.get(kind, kind.lower())
    name = f"box/photo {number}.{suffix}"
    for side, data in (("restored", source), ("enhanced", result)):
        path = folder / side / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return make_row(
        folder,
        number,
        file_name=name,
        input_uri=str(folder / "restored" / name),
        output_uri=str(folder / "enhanced" / name),
        input_sha256=sha256_hex(source),
        output_sha256=sha256_hex(result),
        format=kind,
        **columns,
    )
