"""The record of a run: a file per shard, the same bytes each time, resumed where it was stopped."""

import json
import re

import pytest

from jobs.cli import main
from pipeline.errors import RunError
from pipeline.maintenance import find_orphans, verify_run
from pipeline.progress import NullProgress
from pipeline.provenance import RecordFormat, write_record
from pipeline.runs import RunPaths, read_manifest
from pipeline.runs.commits import read_shard_commit
from pipeline.runs.manifest import read_manifest_file
from pipeline.stages import RunOptions
from pipeline.storage import delete, read, write
from tests.pipeline.provenance.conftest import commit_rows, make_row, write_run
from tests.support.in_process_pool import run_in_process
from tests.support.json_commands import run_json_command

BOTH = pytest.mark.parametrize("record_format", list(RecordFormat))


def record(run, record_format=RecordFormat.JSONL, folder=None):
    return write_record(run, record_format, folder, NullProgress())


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def lines_of(summary):
    return [
        json.loads(line) for name in ("00000", "00001") for line in read(f"{summary.uri}/{name}.jsonl").splitlines()
    ]


@BOTH
def test_write_record_gives_the_same_bytes_each_time(run, tmp_path, record_format):
    first, second = (record(run, record_format, str(tmp_path / name)) for name in ("a", "b"))
    assert (first.written, first.unchanged, first.succeeded, first.failed) == (2, 0, 3, 2)
    assert (second.written, second.succeeded) == (2, 3)
    assert len(files_of(tmp_path / "a")) == 2 and files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_write_record_states_in_lines_what_the_rows_have(run):
    lines = lines_of(record(run))
    rows = read_manifest(run).to_pylist()
    assert [line["status"] for line in lines] == ["ok", "failed", "skipped", "rejected", "ok"]
    assert len({line["id"] for line in lines}) == 5
    for line, row in zip(lines, rows, strict=True):
        assert (line["source"]["uri"], line["source"]["sha256"]) == (row["input_uri"], row["input_sha256"])
        assert (line["result"] and line["result"]["sha256"]) == row["output_sha256"]
        assert (line["error_code"], line["alpha"]) == (row["error_code"], row["alpha"])
        assert line["time"] == read_shard_commit(run, row["shard"]).committed
        assert line["run"] == run.fingerprint
    assert lines[0]["restorer"] == "nlm:sigma=50" and lines[3]["type"] == "replication"


def test_write_record_dates_commits_without_a_time_by_the_run(run):
    commit = json.loads(read(run.commit(0)))
    del commit["committed"]
    write(run.commit(0), json.dumps(commit).encode())
    assert {line["time"] for line in lines_of(record(run))[:4]} == {"2026-01-02T03:04:05+00:00"}
    write(run.success_marker, json.dumps({"finished": "2026-02-03T04:05:06+00:00"}).encode())
    delete(f"{run.record}/00000.jsonl")
    assert {line["time"] for line in lines_of(record(run))[:4]} == {"2026-02-03T04:05:06+00:00"}


@BOTH
def test_write_record_writes_only_what_is_missing(run, record_format):
    summary = record(run, record_format)
    name = "00001.premis.xml" if record_format is RecordFormat.PREMIS else "00001.jsonl"
    before = read(f"{summary.uri}/{name}")
    delete(f"{summary.uri}/{name}")
    again = record(run, record_format)
    assert (again.written, again.unchanged, again.succeeded, again.failed) == (1, 1, 3, 2)
    assert read(f"{summary.uri}/{name}") == before


@BOTH
def test_write_record_replaces_the_file_of_a_shard_that_was_processed_again(run, tmp_path, record_format):
    record(run, record_format)
    delete(run.commit(1))
    commit_rows(run, 1, [make_row(tmp_path, 9, shard=1, output_sha256="cd" * 32)], attempt=2)
    again = record(run, record_format)
    assert (again.written, again.unchanged) == (1, 1)
    (changed,) = (data for name, data in files_of(tmp_path / "enhanced/_deepot" / run.fingerprint / "record").items()
                  if name.startswith("00001"))  # fmt: skip
    assert b"cd" * 32 in changed


@BOTH
@pytest.mark.parametrize("found", [b"<premis/>", b"", b"x" * 5000])
def test_write_record_refuses_to_replace_another_file(run, tmp_path, record_format, found):
    folder = tmp_path / "out"
    folder.mkdir()
    for suffix in (".premis.xml", ".jsonl"):
        (folder / f"00000{suffix}").write_bytes(found)
    with pytest.raises(RunError, match=r"is no record of run f{16}.*--out"):
        record(run, record_format, str(folder))
    assert (folder / "00000.jsonl").read_bytes() == found


def test_write_record_refuses_the_folder_of_another_run(run, tmp_path):
    other = write_run(tmp_path, [[make_row(tmp_path, 1)]], name="e" * 16)
    record(run, folder=str(tmp_path / "out"))
    with pytest.raises(RunError, match=r"no record of run e{16}"):
        record(other, folder=str(tmp_path / "out"))


def test_write_record_of_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"it has no run\.json"):
        record(RunPaths(str(tmp_path)))


@BOTH
def test_write_record_holds_a_few_shards_at_a_time(tmp_path, monkeypatch, record_format):
    run = write_run(tmp_path, [[make_row(tmp_path, number, shard=number)] for number in range(200)])
    begun, done = [], []
    monkeypatch.setattr("pipeline.runs.committed_rows.read_manifest_file",
                        lambda *arguments: begun.append(arguments) or read_manifest_file(*arguments))  # fmt: skip

    class Progress(NullProgress):
        def advance(self, images, failed):
            done.append(len(begun))

    write_record(run, record_format, None, Progress())
    assert len(done) == 200
    assert max(n_begun - n_done for n_done, n_begun in enumerate(done)) <= 130, "64 read and 64 to be written"


def test_record_of_a_real_run_is_left_alone_by_maintenance(make_job, capsys):
    run = RunPaths(run_in_process(make_job(), RunOptions(allow_code=True)).run)
    _, printed = run_json_command(capsys, "record", run.uri, "--format", "jsonl")
    assert (printed["written"], printed["succeeded"], printed["failed"]) == (3, 6, 0)
    assert verify_run(run, NullProgress()).findings == ()
    assert list(find_orphans(run, changed_before=2**40)) == []
    assert run_json_command(capsys, "record", run.uri, "--format", "jsonl")[1]["unchanged"] == 3


def test_record_command_prints_counts_and_folder(run, tmp_path, capsys):
    assert main(["record", run.uri, "--out", str(tmp_path / "premis")]) == 0
    out = capsys.readouterr().out
    assert re.search(r"events   5: 3 with a result, 2 without", out)
    assert f"2 files written, 0 unchanged in {tmp_path}/premis" in out
    assert sorted(files_of(tmp_path / "premis")) == ["00000.premis.xml", "00001.premis.xml"]
