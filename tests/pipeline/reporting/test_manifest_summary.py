"""The summary of a manifest, table by table, and the report of a run."""

import threading

import pyarrow as pa
import pytest

from pipeline.reporting import manifest_summary
from pipeline.reporting.manifest_summary import ManifestSummary
from pipeline.reporting.report import write_report
from pipeline.runs import manifest
from pipeline.runs.commits import commit
from pipeline.runs.committed_rows import iter_manifest_tables
from pipeline.runs.manifest import write_manifest_file
from pipeline.runs.manifest_schema import MANIFEST_SCHEMA, PHASES
from pipeline.runs.paths import RunPaths
from pipeline.runs.rows import new_row
from pipeline.storage.objects import Entry, read
from tests.support.in_process_pool import run_in_process


def rows(numbers, **values):
    done = {"status": "ok", "seconds_encode": 0.5, "patch_nll": 1.0, "patch_nll_output": 2.0} | values
    return [new_row(Entry(f"/in/{number}", f"{number}", 1, "", 0.0), 0, 1) | done for number in numbers]


def tables(count, each):
    return [
        pa.Table.from_pylist(rows(range(at, min(count, at + each))), schema=MANIFEST_SCHEMA)
        for at in range(0, count, each)
    ]


@pytest.mark.parametrize(("count", "step"), [(0, 1), (10, 1), (11, 2), (100, 16), (161, 32)])
def test_summarize_manifest_samples_evenly_whatever_the_size_of_the_tables(monkeypatch, count, step):
    monkeypatch.setattr(manifest_summary, "MAX_SAMPLED_ROWS", 10)
    for each in (1, 3, 7, 200):
        found = manifest_summary.summarize_manifest(tables(count, each))
        assert found.sample_step == step
        assert [int(row["file_name"]) for row in found.sampled_rows] == list(range(0, count, step))


def test_manifest_summary_counts_rows_and_lists_the_first_failures():
    found = ManifestSummary()
    found.add(
        pa.Table.from_pylist(
            rows(range(3)) + rows([3], status="skipped", error_code="animated"), schema=MANIFEST_SCHEMA
        )
    )
    found.add(pa.Table.from_pylist(rows(range(4, 99), status="failed", error_code="damaged"), schema=MANIFEST_SCHEMA))
    found.add(MANIFEST_SCHEMA.empty_table())
    assert found.status_counts == {"ok": 3, "skipped": 1, "failed": 95}
    assert found.error_code_counts == {"animated": 1, "damaged": 95}
    assert found.phase_seconds == dict.fromkeys(PHASES, 0.0) | {"encode": 99 / 2}
    assert [row["file_name"] for row in found.failures] == [str(number) for number in range(3, 53)]


def test_write_report_of_many_photos_shows_a_sample(make_job, monkeypatch):
    run = RunPaths(run_in_process(make_job()).run)
    commit(run, 98, [write_manifest_file(run, "98.parquet", rows(range(94), output_uri="/nowhere"))])
    commit(run, 99, [write_manifest_file(run, "99.parquet", rows(range(60), status="failed", error_code="damaged"))])
    write_report(run)
    page = read(run.report).decode()
    assert "<!-- photos -->" in page
    assert "the 6 natural photos that" in page
    assert "… 10 more" in page, "50 of the 60 failures are listed"
    monkeypatch.setattr(manifest_summary, "MAX_SAMPLED_ROWS", 99)
    write_report(run)
    assert "<!-- photos, 1 in 2 -->" in read(run.report).decode()


def test_iter_manifest_tables_reads_several_files_at_a_time(tmp_path, monkeypatch):
    run = RunPaths(str(tmp_path))
    for shard in range(4):
        commit(run, shard, [write_manifest_file(run, f"{shard}.parquet", rows([shard]))])
    both, read_part = threading.Barrier(4, timeout=20), manifest.read_manifest_file

    def slow(*arguments):
        both.wait()
        return read_part(*arguments)

    monkeypatch.setattr(manifest, "read_manifest_file", slow)
    assert [table["file_name"][0].as_py() for table in iter_manifest_tables(run)] == ["0", "1", "2", "3"]
