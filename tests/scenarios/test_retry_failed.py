"""Failures that another attempt may cure: a full disk, --retry-failed, and the shards that they requeue."""

import errno
import os
from contextlib import contextmanager

import pytest
import yaml

from pipeline.maintenance import VerificationReport, verify_run
from pipeline.progress import NullProgress
from pipeline.runs import Problem, RunPaths, find_retriable_failures, list_committed_shards, read_manifest, requeue
from pipeline.stages.driver import RunOptions, open_run, requeue_failed
from pipeline.storage import list_names, local_store, read, write
from tests.support.in_process_pool import run_in_process
from tests.support.json_commands import run_json_command
from tests.support.photos import make_photo, small_job_config


@pytest.fixture
def full_disk(monkeypatch):
    """A context in which the disk is too full for one photo, but not for manifests."""
    real = local_store._write_temporary

    def write_temporary(path, data, *permissions):
        if path.endswith("3.png"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, data, *permissions)

    @contextmanager
    def context():
        with monkeypatch.context() as patch:
            patch.setattr("pipeline.storage.retries._sleep", lambda _: None)
            patch.setattr(local_store, "_write_temporary", write_temporary)
            yield

    return context


def test_verify_requeues_images_that_a_full_disk_failed(make_job, full_disk, capsys):
    """Their rows say so, and once they are requeued the next run processes them."""
    job = make_job()
    with full_disk():
        result = run_in_process(job)
    assert (result.ok, result.codes) == (5, {"write_failed": 1})
    assert run_in_process(job).done_now == 0, "a committed shard is not processed again by itself"
    status, numbers = run_json_command(capsys, "verify", result.run, "--requeue")
    assert (status, numbers["findings"], numbers["retriable"], numbers["requeued_images"]) == (0, 0, 1, 2)
    assert (run_in_process(job).ok, verify_run(RunPaths(result.run), NullProgress())) == (
        6,
        VerificationReport(6, (), 6),
    )


def test_retry_failed_processes_only_shards_with_retriable_failures(
    full_disk, tmp_path, monkeypatch, capsys, in_process
):
    """By the manifest alone, without reading results; another shard has a failure that is not retriable."""
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(small_job_config(tmp_path, 6, 6)))
    (tmp_path / "restored" / "photo 05.png").write_bytes(b"")
    command = ["run", str(tmp_path / "job.yaml"), "--allow-code"]
    with full_disk():
        status, first = run_json_command(capsys, *command)
    assert (status, first["ok"], first["failed"], first["retried"]) == (1, 4, 2, 0)
    run = RunPaths(first["run"])
    commits = {number: read(run.commit(number)) for number in list_committed_shards(run)}
    shards = {row["file_name"]: row["shard"] for row in read_manifest(run).to_pylist()}
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "enhanced").rglob("*.png")}
    assert shards["sub/photo 03.png"] != shards["photo 05.png"]
    monkeypatch.setattr(requeue, "read_photo", None)
    status, again = run_json_command(capsys, *command, "--retry-failed", "--limits.max_error_rate", "0.2")
    assert (status, again["ok"], again["failed"], again["retried"], again["done_now"]) == (0, 5, 1, 1, 2)
    changed = {number for number in commits if read(run.commit(number)) != commits[number]}
    assert changed == {shards["sub/photo 03.png"]}
    kept = {path for path in written if path.stat().st_mtime_ns == written[path]}
    assert len(kept) == 3, "the good photo of the same shard is written again, the others stay"
    rows = read_manifest(run).to_pylist()
    assert {row["file_name"]: row["shard"] for row in rows} == shards and len(rows) == 6
    assert [row["error_code"] for row in rows if row["status"] != "ok"] == ["empty_file"]
    assert "_SUCCESS.json" in list_names(run.uri)
    status, last = run_json_command(capsys, *command, "--retry-failed")
    assert (status, last["retried"], last["done_now"]) == (1, 0, 0)


def test_an_interrupted_retry_is_resumed_by_the_next_run(make_job, full_disk):
    job = make_job()
    with full_disk():
        run = RunPaths(run_in_process(job).run)
    assert requeue_failed(open_run(job, RunOptions(allow_code=True))) == 1
    assert "_SUCCESS.json" not in list_names(run.uri)
    result = run_in_process(job)
    assert (result.ok, result.done_now, result.complete) == (6, 2, True)


def test_retry_failed_leaves_photos_that_were_planned_again(make_job, full_disk, tmp_path):
    job, photo = make_job(), tmp_path / "restored" / "sub" / "photo 03.png"
    with full_disk():
        run = RunPaths(run_in_process(job).run)
    make_photo(9, width=50).save(photo)
    assert run_in_process(job).done_now == 1
    assert (find_retriable_failures(run), len(verify_run(run, NullProgress()).findings)) == ((), 1)
    result = run_in_process(job, RunOptions(allow_code=True, retry_failed=True))
    assert (result.retried, result.done_now) == (0, 0)


def test_retry_failed_leaves_damaged_manifests_to_verify(make_job, full_disk):
    job = make_job()
    with full_disk():
        run = RunPaths(run_in_process(job).run)
    (number,) = [row["shard"] for row in read_manifest(run).to_pylist() if row["status"] == "failed"]
    (file_name,) = (name for name in list_names(run.manifest()) if name.startswith(f"{number:05d}-"))
    write(run.manifest(file_name), b"not Parquet")
    assert find_retriable_failures(run) == ()
    assert [finding.problem for finding in verify_run(run, NullProgress()).findings] == [Problem.NOT_AS_COMMITTED]
