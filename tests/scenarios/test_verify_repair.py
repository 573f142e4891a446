"""Verification: lost, changed and unreadable files are found, and a run after --requeue replaces them."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.cli import main
from pipeline.maintenance import VerificationReport, verify_run
from pipeline.progress import NullProgress
from pipeline.runs import Problem, RunPaths, list_committed_shards, read_manifest
from pipeline.sources.parquet_column import _read_row_group
from pipeline.stages import open_run, plan_job
from pipeline.storage import delete, list_names, read, write
from tests.support.in_process_pool import OPTIONS, run_in_process
from tests.support.json_commands import run_json_command
from tests.support.photos import make_photo


def outcomes(run):
    rows = read_manifest(run).to_pylist()
    return sorted((row["file_name"], row["status"], row["output_sha256"]) for row in rows)


def test_verify_requeues_missing_and_changed_files_and_the_next_run_replaces_them(make_job, tmp_path, capsys):
    job = make_job(images=8)
    run = RunPaths(run_in_process(job).run)
    before = outcomes(run)
    out = tmp_path / "enhanced"
    rows = read_manifest(run).to_pylist()
    by_shard = {number: [row["file_name"] for row in rows if row["shard"] == number] for number in range(4)}
    (out / by_shard[0][0]).unlink()
    (out / by_shard[1][0]).write_bytes(b"another photo")
    (file_name,) = (name for name in list_names(run.manifest()) if name.startswith("00002-"))
    write(run.manifest(file_name), b"not Parquet")
    found = verify_run(run, NullProgress())
    assert sorted((finding.shard, finding.problem) for finding in found.findings) == [
        (0, Problem.MISSING),
        (1, Problem.CHECKSUM_MISMATCH),
        (2, Problem.NOT_AS_COMMITTED),
    ]
    assert run_json_command(capsys, "verify", run.uri)[0] == 1
    status, numbers = run_json_command(capsys, "verify", run.uri, "--requeue")
    assert (status, numbers["findings"], numbers["requeued_shards"], numbers["requeued_images"]) == (0, 3, 3, 6)
    assert list_committed_shards(run) == {3}
    assert "_SUCCESS.json" not in list_names(run.uri)
    assert run_in_process(job).done_now == 6
    assert verify_run(run, NullProgress()) == VerificationReport(8, (), 8)
    assert outcomes(run) == before


def test_verify_requeues_a_shard_whose_commit_cannot_be_read(make_job):
    job = make_job()
    run = RunPaths(run_in_process(job).run)
    write(run.commit(1), b"{")
    assert [(f.shard, f.problem) for f in verify_run(run, NullProgress()).findings] == [(1, Problem.NOT_AS_COMMITTED)]
    assert main(["verify", run.uri, "--requeue"]) == 0
    assert run_in_process(job).done_now == 2


def test_verify_requeues_a_shard_whose_commit_is_missing(make_job, capsys):
    job = make_job()
    run = RunPaths(run_in_process(job).run)
    before = outcomes(run)
    delete(run.commit(1))
    found = verify_run(run, NullProgress())
    assert [(finding.shard, finding.problem) for finding in found.findings] == [(1, Problem.COMMIT_MISSING)]
    status, numbers = run_json_command(capsys, "verify", run.uri)
    assert (status, numbers["planned"], numbers["checked"], numbers["uncommitted"]) == (1, 6, 4, 2)
    assert (numbers["findings"], numbers["retriable"]) == (1, 0)
    status, numbers = run_json_command(capsys, "verify", run.uri, "--requeue")
    assert (status, numbers["requeued_shards"], numbers["requeued_images"]) == (0, 1, 2)
    assert "_SUCCESS.json" not in list_names(run.uri)
    result = run_in_process(job)
    assert (result.done_now, result.complete) == (2, True)
    assert verify_run(run, NullProgress()) == VerificationReport(6, (), 6)
    assert outcomes(run) == before
    assert "_SUCCESS.json" in list_names(run.uri)


def test_verify_of_an_unfinished_run_counts_uncommitted_images_and_finds_nothing_wrong(make_job, tmp_path, capsys):
    """With _SUCCESS.json, which another driver wrote when fewer images were planned, and without it."""
    job = make_job()
    run = RunPaths(run_in_process(job).run)
    success = read(run.success_marker)
    make_photo(99).save(tmp_path / "restored" / "new.png")
    plan_job(open_run(job, OPTIONS))
    assert "_SUCCESS.json" not in list_names(run.uri), "not every shard is committed any more"
    write(run.success_marker, success)
    for committed in (6, 4):
        assert main(["verify", run.uri]) == 0
        assert f"{7 - committed} of 7 planned photos have no commit" in capsys.readouterr().out
        assert verify_run(run, NullProgress()) == VerificationReport(committed, (), 7, 7 - committed)
        delete(run.success_marker)
        delete(run.commit(0))
    assert run_json_command(capsys, "verify", run.uri, "--requeue")[1]["requeued_shards"] == 0
    assert run_in_process(job).done_now == 3
    assert "_SUCCESS.json" in list_names(run.uri)


@pytest.mark.parametrize("left", ["nothing", "half", "other bytes", "another column"])
@pytest.mark.parametrize("layout", ["parquet", "webdataset"])
def test_verify_requeues_a_damaged_container(make_job, tmp_path, layout, left):
    job = make_job(output={"uri": str(tmp_path / "enhanced"), "layout": layout})
    run = RunPaths(run_in_process(job).run)
    before = outcomes(run)
    (file, *others) = sorted((tmp_path / "enhanced").glob("0*"))
    data = file.read_bytes()
    assert len(others) == 2
    file.write_bytes(
        {"nothing": b"", "half": data[: len(data) // 8], "other bytes": b"\xff" * len(data)}.get(left, b"")
    )
    if left == "another column":
        pq.write_table(pa.table({"picture": [1.5]}), file)
    _read_row_group.cache_clear()
    found = verify_run(run, NullProgress())
    assert [(finding.shard, finding.problem) for finding in found.findings] == [(0, Problem.CHECKSUM_MISMATCH)] * 2
    assert found.n_checked == 6, "the other containers are checked"
    assert main(["verify", run.uri, "--requeue"]) == 0
    assert run_in_process(job).done_now == 2
    _read_row_group.cache_clear()
    assert verify_run(run, NullProgress()) == VerificationReport(6, (), 6)
    assert outcomes(run) == before


def test_verify_reports_what_storage_cannot_read_and_leaves_it_alone(make_job, tmp_path, capsys):
    """A photo, a manifest file and a commit, here folders of these names; everything else is checked."""
    job = make_job(images=10)
    run = RunPaths(run_in_process(job).run)
    (file_name,) = (name for name in list_names(run.manifest()) if name.startswith("00001-"))
    photo = next(row["output_uri"] for row in read_manifest(run).to_pylist() if row["shard"] == 0)
    other = next(row["output_uri"] for row in read_manifest(run).to_pylist() if row["shard"] == 3)
    uris = [photo, run.manifest(file_name), run.commit(2)]
    for uri in uris:
        Path(uri).rename(f"{uri}.away")
        Path(uri).mkdir()
    found = verify_run(run, NullProgress())
    assert [(finding.uri, finding.problem) for finding in found.findings] == [(uri, Problem.UNREADABLE) for uri in uris]
    assert (found.n_checked, found.n_corrupt, found.n_unreadable, found.n_retriable) == (6, 0, 3, 0)
    Path(other).unlink()
    status, numbers = run_json_command(capsys, "verify", run.uri, "--requeue")
    assert (status, numbers["unreadable"], numbers["findings"], numbers["requeued_shards"]) == (1, 3, 1, 1)
    assert list_committed_shards(run) == {0, 1, 2, 4}
    for uri in uris:
        Path(uri).rmdir()
        Path(f"{uri}.away").rename(uri)
    assert run_in_process(job).done_now == 2
    assert verify_run(run, NullProgress()) == VerificationReport(10, (), 10)
