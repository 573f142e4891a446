"""Reading the committed manifest while shards are requeued and files are lost."""

import json

import pyarrow as pa
import pytest

from pipeline.errors import RunError
from pipeline.runs import committed_rows
from pipeline.runs.commits import commit, read_commit
from pipeline.runs.committed_rows import iter_manifest_tables
from pipeline.runs.manifest import write_manifest_file
from pipeline.runs.manifest_schema import MANIFEST_SCHEMA, conform_to_schema
from pipeline.runs.paths import RunPaths
from pipeline.runs.rows import new_row
from pipeline.storage.objects import Entry, delete, read, write


def make_rows(shard):
    return [new_row(Entry(f"u{number}", f"k{shard}-{number}", 1, "", 0.0), shard, 1) for number in range(2)]


@pytest.fixture
def run(tmp_path):
    run = RunPaths(str(tmp_path / "run"))
    write(run.run_json, b"{}")
    for shard in range(10):
        assert commit(run, shard, [write_manifest_file(run, f"{shard:05d}-1-x.parquet", make_rows(shard))])
    return run


def test_iter_manifest_tables_names_the_shard_of_a_missing_file_and_the_way_out(run):
    delete(run.manifest("00003-1-x.parquet"))
    with pytest.raises(RunError, match=r"file of shard 3 is missing: run .deepot verify .* --requeue"):
        list(iter_manifest_tables(run))


def test_iter_manifest_tables_skips_a_shard_that_is_requeued_meanwhile(run, monkeypatch):
    real = committed_rows.list_commits

    def listing(run):
        found = real(run)
        delete(run.commit(3))
        return found

    monkeypatch.setattr(committed_rows, "list_commits", listing)
    assert len(list(iter_manifest_tables(run))) == 9


def test_commit_counts_rejected_rows_and_those_of_earlier_versions_have_none(run):
    rows = [row | {"status": status} for row, status in zip(make_rows(10), ("rejected", "ok"), strict=True)]
    assert commit(run, 10, [write_manifest_file(run, "00010-1-x.parquet", rows)])
    (file,) = read_commit(run, 10)
    assert (file.ok, file.rejected, file.failed, file.n_rows) == (1, 1, 0, 2)
    record = json.loads(read(run.commit(10)))
    del record["files"][0]["rejected"]
    write(run.commit(10), json.dumps(record).encode())
    assert read_commit(run, 10)[0].rejected == 0


def test_conform_to_schema_casts_only_tables_of_another_schema():
    table = MANIFEST_SCHEMA.empty_table()
    assert conform_to_schema(table) is table
    older = table.drop_columns(["phash"]).append_column("dropped", pa.nulls(0, pa.int8()))
    for other in (older, table.replace_schema_metadata(None), table.select(MANIFEST_SCHEMA.names[::-1])):
        assert conform_to_schema(other).schema.equals(MANIFEST_SCHEMA, check_metadata=True)
