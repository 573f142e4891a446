"""A disk that is full, of results or of everything: once there is room, the same command does the rest."""

import subprocess
from collections import Counter
from contextlib import contextmanager

import pytest

from pipeline.errors import StorageError
from pipeline.maintenance.verify import VerificationReport, verify_run
from pipeline.progress import NullProgress
from pipeline.runs.committed_rows import read_manifest
from pipeline.runs.paths import RunPaths
from pipeline.runs.requeue import requeue_shards
from tests.support.in_process_pool import run_in_process

IMAGES = 12
ROOM = "64m"


@contextmanager
def small_disk(folder, size):
    """Mount a file system in memory; yields a function that resizes it."""
    folder.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        pytest.skip(f"a small disk cannot be mounted here: {error}")
    try:
        yield lambda size: subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("pipeline.storage.retries._sleep", lambda _: None)


def assert_complete(run):
    """Every input has one row, and every result is what its row says."""
    rows = Counter(row["file_name"] for row in read_manifest(run).to_pylist())
    assert len(rows) == IMAGES and set(rows.values()) == {1}
    assert verify_run(run, NullProgress()).n_corrupt == 0


def test_full_disk_of_the_results_fails_photos_and_not_the_job(make_job, tmp_path):
    with small_disk(tmp_path / "enhanced", "64k") as resize:
        job = make_job(images=IMAGES, run=str(tmp_path / "run"), transport={"alpha": 0})
        result = run_in_process(job)
        run = RunPaths(result.run)
        assert 0 < result.ok < IMAGES
        assert result.codes == {"write_failed": IMAGES - result.ok}
        assert_complete(run)
        assert not list(tmp_path.rglob("*.partial"))
        resize(ROOM)
        requeue_shards(run, verify_run(run, NullProgress()).findings)
        assert run_in_process(job).ok == IMAGES
        assert verify_run(run, NullProgress()) == VerificationReport(IMAGES, (), IMAGES)


@pytest.mark.parametrize("size_kb", [8, 500, 1500])
def test_full_disk_of_the_run_stops_the_job_and_a_rerun_completes_it(make_job, tmp_path, size_kb):
    """At whatever stage that happens."""
    with small_disk(tmp_path / "disk", f"{size_kb}k") as resize:
        job = make_job(images=IMAGES, output={"uri": str(tmp_path / "disk" / "enhanced")})
        with pytest.raises(StorageError, match=r"No space left on the disk of .*disk.*: [\d,]+ bytes are needed and "):
            run_in_process(job)
        assert not list(tmp_path.rglob("*.partial"))
        assert not list(tmp_path.rglob("_SUCCESS.json"))
        resize(ROOM)
        result = run_in_process(job)
        run = RunPaths(result.run)
        requeue_shards(run, verify_run(run, NullProgress()).findings)
        assert run_in_process(job).ok == IMAGES
        assert_complete(run)
        assert verify_run(run, NullProgress()) == VerificationReport(IMAGES, (), IMAGES)


@pytest.mark.soak
def test_disk_that_fills_up_at_every_stage_loses_nothing(make_job, tmp_path, record_fault):
    """The disk is a little larger each time, so that the job stops at one stage after the other."""
    with record_fault("the disk is full") as tally, small_disk(tmp_path / "disk", "4k") as resize:
        job = make_job(images=IMAGES, output={"uri": str(tmp_path / "disk" / "enhanced")})
        for size_kb in range(8, 10_000, 150):
            try:
                run = RunPaths(run_in_process(job).run)
                break
            except StorageError as error:
                assert "No space left" in str(error)
                tally.injected += 1
            resize(f"{size_kb}k")
        assert tally.injected > 5
        resize(ROOM)
        requeue_shards(run, verify_run(run, NullProgress()).findings)
        run_in_process(job)
        rows = Counter(row["file_name"] for row in read_manifest(run).to_pylist())
        tally.lost, tally.doubled = IMAGES - len(rows), sum(count > 1 for count in rows.values())
        assert_complete(run)
        assert verify_run(run, NullProgress()) == VerificationReport(IMAGES, (), IMAGES)
