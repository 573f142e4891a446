"""What goes wrong after all and is mended: lost results, files left behind, a full disk, a second driver."""

import errno
import json
import os
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from jobs.cli import main
from pipeline.errors import ErrorCode, ImageError, RunError
from pipeline.maintenance.verify import VerificationReport, verify_run
from pipeline.progress import NullProgress
from pipeline.runs import lease as leases
from pipeline.runs import requeue
from pipeline.runs.commits import commit, list_committed_shards
from pipeline.runs.lease import hold_lease
from pipeline.runs.manifest import read_manifest
from pipeline.runs.paths import RunPaths
from pipeline.runs.requeue import Problem, find_retriable_failures
from pipeline.sources.parquet_column import _read_row_group
from pipeline.stages.driver import RunOptions, open_run, plan_job, requeue_failed, run_job
from pipeline.storage import local_store
from pipeline.storage.folders import exists, list_names
from pipeline.storage.objects import delete, read, write
from pipeline.workers import photo_reader
from tests.support.in_process_pool import OPTIONS, InProcessWorkerPool, run_in_process, without_ray
from tests.support.photos import make_photo, small_job_config


def told(capsys, *arguments):
    status = main([*arguments, "--json"])
    return status, json.loads(capsys.readouterr().out.splitlines()[-1])


def outcomes(run):
    rows = read_manifest(run).to_pylist()
    return sorted((row["file_name"], row["status"], row["output_sha256"]) for row in rows)


def test_what_is_missing_or_differs_is_put_back_and_done_again(make_job, tmp_path, capsys):
    job = make_job(images=8)
    run = RunPaths(run_in_process(job).run)
    before = outcomes(run)
    out = tmp_path / "enhanced"
    rows = read_manifest(run).to_pylist()
    of_shard = {number: [row["file_name"] for row in rows if row["shard"] == number] for number in range(4)}
    (out / of_shard[0][0]).unlink()
    (out / of_shard[1][0]).write_bytes(b"another photo")
    (part,) = (name for name in list_names(run.manifest()) if name.startswith("00002-"))
    write(run.manifest(part), b"no Parquet")
    found = verify_run(run, NullProgress())
    assert sorted((finding.shard, finding.problem) for finding in found.findings) == [
        (0, Problem.MISSING),
        (1, Problem.CHECKSUM_MISMATCH),
        (2, Problem.NOT_AS_COMMITTED),
    ]
    assert told(capsys, "verify", run.uri)[0] == 1
    status, numbers = told(capsys, "verify", run.uri, "--requeue")
    assert (status, numbers["findings"], numbers["requeued_shards"], numbers["requeued_images"]) == (0, 3, 3, 6)
    assert list_committed_shards(run) == {3}
    assert "_SUCCESS.json" not in list_names(run.uri)
    assert run_in_process(job).done_now == 6
    assert verify_run(run, NullProgress()) == VerificationReport(8, (), 8)
    assert outcomes(run) == before


def test_a_commit_that_cannot_be_read_is_found_and_put_back(make_job):
    job = make_job()
    run = RunPaths(run_in_process(job).run)
    write(run.commit(1), b"{")
    assert [(f.shard, f.problem) for f in verify_run(run, NullProgress()).findings] == [(1, Problem.NOT_AS_COMMITTED)]
    assert main(["verify", run.uri, "--requeue"]) == 0
    assert run_in_process(job).done_now == 2


def test_a_commit_that_is_gone_is_found_and_its_shard_done_again(make_job, capsys):
    job = make_job()
    run = RunPaths(run_in_process(job).run)
    before = outcomes(run)
    delete(run.commit(1))
    found = verify_run(run, NullProgress())
    assert [(finding.shard, finding.problem) for finding in found.findings] == [(1, Problem.COMMIT_MISSING)]
    status, numbers = told(capsys, "verify", run.uri)
    assert (status, numbers["planned"], numbers["checked"], numbers["uncommitted"]) == (1, 6, 4, 2)
    assert (numbers["findings"], numbers["retriable"]) == (1, 0)
    status, numbers = told(capsys, "verify", run.uri, "--requeue")
    assert (status, numbers["requeued_shards"], numbers["requeued_images"]) == (0, 1, 2)
    assert "_SUCCESS.json" not in list_names(run.uri)
    result = run_in_process(job)
    assert (result.done_now, result.complete) == (2, True)
    assert verify_run(run, NullProgress()) == VerificationReport(6, (), 6)
    assert outcomes(run) == before
    assert "_SUCCESS.json" in list_names(run.uri)


def test_what_is_not_done_yet_is_counted_and_not_called_wrong(make_job, tmp_path, capsys):
    """Neither where there is no _SUCCESS.json, nor where another driver wrote it when there was less to do."""
    job = make_job()
    run = RunPaths(run_in_process(job).run)
    success = read(run.success_marker)
    make_photo(99).save(tmp_path / "restored" / "new.png")
    plan_job(open_run(job, OPTIONS))
    assert "_SUCCESS.json" not in list_names(run.uri), "not every shard is committed any more"
    write(run.success_marker, success)
    for committed in (6, 4):
        assert main(["verify", run.uri]) == 0
        assert f"{7 - committed} of 7 planned images have no commit" in capsys.readouterr().out
        assert verify_run(run, NullProgress()) == VerificationReport(committed, (), 7, 7 - committed)
        delete(run.success_marker)
        delete(run.commit(0))
    assert told(capsys, "verify", run.uri, "--requeue")[1]["requeued_shards"] == 0
    assert run_in_process(job).done_now == 3
    assert "_SUCCESS.json" in list_names(run.uri)


@pytest.mark.parametrize("left", ["nothing", "half", "other bytes", "another column"])
@pytest.mark.parametrize("layout", ["parquet", "webdataset"])
def test_a_damaged_container_differs_and_is_written_anew(make_job, tmp_path, layout, left):
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
    assert found.n_checked == 6, "the others are looked at"
    assert main(["verify", run.uri, "--requeue"]) == 0
    assert run_in_process(job).done_now == 2
    _read_row_group.cache_clear()
    assert verify_run(run, NullProgress()) == VerificationReport(6, (), 6)
    assert outcomes(run) == before


def test_what_storage_does_not_give_is_told_and_left_alone(make_job, tmp_path, capsys):
    """A photo, a manifest part and a commit, here folders of these names; the others are looked at."""
    job = make_job(images=10)
    run = RunPaths(run_in_process(job).run)
    (part,) = (name for name in list_names(run.manifest()) if name.startswith("00001-"))
    photo = next(row["output_uri"] for row in read_manifest(run).to_pylist() if row["shard"] == 0)
    other = next(row["output_uri"] for row in read_manifest(run).to_pylist() if row["shard"] == 3)
    uris = [photo, run.manifest(part), run.commit(2)]
    for uri in uris:
        Path(uri).rename(f"{uri}.away")
        Path(uri).mkdir()
    found = verify_run(run, NullProgress())
    assert [(finding.uri, finding.problem) for finding in found.findings] == [(uri, Problem.UNREADABLE) for uri in uris]
    assert (found.n_checked, found.n_corrupt, found.n_unreadable, found.n_retriable) == (6, 0, 3, 0)
    Path(other).unlink()
    status, numbers = told(capsys, "verify", run.uri, "--requeue")
    assert (status, numbers["unreadable"], numbers["findings"], numbers["requeued_shards"]) == (1, 3, 1, 1)
    assert list_committed_shards(run) == {0, 1, 2, 4}
    for uri in uris:
        Path(uri).rmdir()
        Path(f"{uri}.away").rename(uri)
    assert run_in_process(job).done_now == 2
    assert verify_run(run, NullProgress()) == VerificationReport(10, (), 10)


@pytest.fixture
def no_room(monkeypatch):
    """A context in which one photo finds no room; manifests do."""
    real = local_store._write_temporary

    def full(path, data):
        if path.endswith("3.png"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, data)

    @contextmanager
    def context():
        with monkeypatch.context() as patch:
            patch.setattr("tenacity.nap.time.sleep", lambda _: None)
            patch.setattr(local_store, "_write_temporary", full)
            yield

    return context


def test_a_full_disk_costs_no_row_and_is_made_good(make_job, no_room, capsys):
    """Rows say so, and after a repair the next run does the rest."""
    job = make_job()
    with no_room():
        result = run_in_process(job)
    assert (result.ok, result.codes) == (5, {"write_failed": 1})
    assert run_in_process(job).done_now == 0, "what is committed is not done again by itself"
    status, numbers = told(capsys, "verify", result.run, "--requeue")
    assert (status, numbers["findings"], numbers["retriable"], numbers["requeued_images"]) == (0, 0, 1, 2)
    assert (run_in_process(job).ok, verify_run(RunPaths(result.run), NullProgress())) == (
        6,
        VerificationReport(6, (), 6),
    )


def test_a_retry_does_again_what_may_pass_and_nothing_else(no_room, tmp_path, monkeypatch, capsys, in_process):
    """From the manifest alone: no object is read; another shard has a failure that will not pass."""
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(small_job_config(tmp_path, 6, 6)))
    (tmp_path / "restored" / "photo 05.png").write_bytes(b"")
    command = ["run", str(tmp_path / "job.yaml"), "--allow-code"]
    with no_room():
        status, first = told(capsys, *command)
    assert (status, first["ok"], first["failed"], first["retried"]) == (1, 4, 2, 0)
    run = RunPaths(first["run"])
    commits = {number: read(run.commit(number)) for number in list_committed_shards(run)}
    shards = {row["file_name"]: row["shard"] for row in read_manifest(run).to_pylist()}
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "enhanced").rglob("*.png")}
    assert shards["sub/photo 03.png"] != shards["photo 05.png"]
    monkeypatch.setattr(requeue, "read_photo", None)
    status, again = told(capsys, *command, "--retry-failed", "--limits.max_error_rate", "0.2")
    assert (status, again["ok"], again["failed"], again["retried"], again["done_now"]) == (0, 5, 1, 1, 2)
    changed = {number for number in commits if read(run.commit(number)) != commits[number]}
    assert changed == {shards["sub/photo 03.png"]}
    kept = {path for path in written if path.stat().st_mtime_ns == written[path]}
    assert len(kept) == 3, "the good photo beside it is written once more, the others stay"
    rows = read_manifest(run).to_pylist()
    assert {row["file_name"]: row["shard"] for row in rows} == shards and len(rows) == 6
    assert [row["error_code"] for row in rows if row["status"] != "ok"] == ["empty_file"]
    assert "_SUCCESS.json" in list_names(run.uri)
    status, last = told(capsys, *command, "--retry-failed")
    assert (status, last["retried"], last["done_now"]) == (1, 0, 0)


def test_a_retry_that_is_cut_short_is_gone_on_with(make_job, no_room, monkeypatch):
    job = make_job()
    with no_room():
        run = RunPaths(run_in_process(job).run)
    assert requeue_failed(open_run(job, RunOptions(allow_code=True))) == 1
    assert "_SUCCESS.json" not in list_names(run.uri)
    result = run_in_process(job)
    assert (result.ok, result.done_now, result.complete) == (6, 2, True)


def test_a_photo_that_was_planned_again_since_is_not_retried(make_job, no_room, tmp_path):
    job, photo = make_job(), tmp_path / "restored" / "sub" / "photo 03.png"
    with no_room():
        run = RunPaths(run_in_process(job).run)
    make_photo(9, width=50).save(photo)
    assert run_in_process(job).done_now == 1
    assert (find_retriable_failures(run), len(verify_run(run, NullProgress()).findings)) == ((), 1)
    result = run_in_process(job, RunOptions(allow_code=True, retry_failed=True))
    assert (result.retried, result.done_now) == (0, 0)


def test_a_retry_leaves_damage_to_verify(make_job, no_room):
    job = make_job()
    with no_room():
        run = RunPaths(run_in_process(job).run)
    (number,) = [row["shard"] for row in read_manifest(run).to_pylist() if row["status"] == "failed"]
    (part,) = (name for name in list_names(run.manifest()) if name.startswith(f"{number:05d}-"))
    write(run.manifest(part), b"no Parquet")
    assert find_retriable_failures(run) == ()
    assert [finding.problem for finding in verify_run(run, NullProgress()).findings] == [Problem.NOT_AS_COMMITTED]


@pytest.fixture
def undecided(monkeypatch, tmp_path):
    """A run on storage that cannot decide between two drivers."""
    monkeypatch.setattr(leases, "supports_conditional_create", lambda _: False)
    monkeypatch.setattr(leases, "HEARTBEAT_S", 0.05)
    return RunPaths(str(tmp_path / "run"))


def test_a_second_driver_is_refused_while_the_first_lives(undecided, caplog, monkeypatch):
    with hold_lease(undecided), hold_lease(undecided):
        monkeypatch.setattr(leases, "_HELD_LEASES", {})  # as another process has it
        with pytest.raises(RunError, match="has another driver, process"), hold_lease(undecided):
            pass
    assert "only this driver commits" in caplog.text
    monkeypatch.setattr(leases, "_HELD_LEASES", {})
    with hold_lease(undecided):
        assert list_names(undecided.uri) == {"driver.json"}
    assert list_names(undecided.uri) == set()


def test_a_driver_that_fell_silent_is_gone(undecided, monkeypatch):
    write(undecided.lease, json.dumps({"driver": "x", "host": "h", "process": 1, "time": time.time() - 999}).encode())
    with hold_lease(undecided):
        beats = [json.loads(read(undecided.lease))["time"]]
        time.sleep(0.2)
        beats.append(json.loads(read(undecided.lease))["time"])
        assert beats[1] > beats[0]
    write(undecided.lease, b"[]")
    with pytest.raises(RunError, match="is not a lease"), hold_lease(undecided):
        pass


def test_a_driver_whose_clock_is_behind_is_not_taken_for_gone(undecided):
    """It seems to have been silent for long, and writes all the same."""
    note = {"driver": "x", "host": "h", "process": 1}
    over = threading.Event()

    def beat():
        while not over.wait(0.01):
            write(undecided.lease, json.dumps(note | {"time": time.time() - 999}).encode())

    write(undecided.lease, json.dumps(note | {"time": time.time() - 999}).encode())
    beating = threading.Thread(target=beat)
    beating.start()
    try:
        with (
            pytest.raises(RunError, match="has another driver, process 1 on h, heard of 0 s ago"),
            hold_lease(undecided),
        ):
            pass
    finally:
        over.set()
        beating.join()


def test_of_two_at_the_same_moment_one_goes_on(undecided, monkeypatch):
    won, refused, start = [], [], threading.Barrier(2)
    monkeypatch.setattr(leases, "HEARTBEAT_S", 0.3)
    monkeypatch.setattr(leases, "_HELD_LEASES", _Nothing())

    def drive(name):
        start.wait()
        try:
            with hold_lease(undecided):
                won.append(name)
                time.sleep(0.6)
        except RunError:
            refused.append(name)

    drivers = [threading.Thread(target=drive, args=(name,)) for name in "ab"]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    assert (len(won), len(refused)) == (1, 1)


class _Nothing(dict):
    def __setitem__(self, *_):
        pass


def taken(run):
    """Another driver has the lease of a run since now; what it wrote."""
    note = json.dumps({"driver": "x", "host": "elsewhere", "process": 1, "time": time.time()}).encode()
    write(run.lease, note)
    return note


@pytest.mark.parametrize("beats", [True, False])
def test_a_driver_that_was_taken_for_gone_leaves_the_run_to_the_other(undecided, monkeypatch, beats):
    """It looks before it writes, and before a commit where it has not looked for long: both may be asleep."""
    monkeypatch.setattr(leases, "HEARTBEAT_S", 0.05 if beats else 0.2)
    monkeypatch.setattr(leases.Lease, "heartbeat", leases.Lease.heartbeat if beats else lambda _: None)
    with hold_lease(undecided):
        note = taken(undecided)
        time.sleep(0.5)
        assert read(undecided.lease) == note
        with pytest.raises(RunError, match=r"given to another driver \(it is process 1 on elsewhere"):
            commit(undecided, 0, [])
        with pytest.raises(RunError, match="given to another driver"), hold_lease(undecided):
            pass
    assert read(undecided.lease) == note
    assert list_committed_shards(undecided) == set()


def test_a_lease_that_is_gone_was_anothers(undecided):
    with hold_lease(undecided):
        delete(undecided.lease)
        time.sleep(0.2)
        assert list_names(undecided.uri) == set()
        with pytest.raises(RunError, match="ended by now"):
            commit(undecided, 0, [])


def test_a_run_stops_where_another_driver_has_it(make_job, undecided, monkeypatch):
    """In the middle of apply; what is committed counts, and the other driver's lease stays."""

    class Overtaken(InProcessWorkerPool):
        def wait(self):
            if list_committed_shards(run) and read(run.lease) != notes.get("other"):
                notes["other"] = taken(run)
                time.sleep(0.2)
            return super().wait()

    notes, job = {}, make_job()
    run = open_run(job, OPTIONS).run
    with without_ray(Overtaken), pytest.raises(RunError, match="given to another driver"):
        run_job(job, OPTIONS)
    assert read(run.lease) == notes["other"]
    assert 1 <= len(list_committed_shards(run)) < 3
    delete(run.lease)
    assert run_in_process(job).complete
    assert verify_run(run, NullProgress()) == VerificationReport(6, (), 6)


@pytest.mark.parametrize("layout", ["webdataset", "parquet"])
def test_two_drivers_do_not_write_over_each_others_files(make_job, tmp_path, monkeypatch, layout):
    """A shard of the first lacks a photo that the second one read: its tar would be another, under the same name."""
    job = make_job(output={"uri": str(tmp_path / "enhanced"), "layout": layout})
    real, refused = photo_reader.read_input, []

    def fetch(entry, limits):
        if refused and entry.key == "photo 01.png":
            raise ImageError(ErrorCode.READ_FAILED, "not now")
        return real(entry, limits)

    class Beside(InProcessWorkerPool):
        def wait(self):
            if not refused:
                with monkeypatch.context() as patch:
                    patch.setattr(leases, "_HELD_LEASES", {})  # as another process has it
                    try:
                        refused.append(run_in_process(job))
                    except RunError as error:
                        refused.append(error)
            return super().wait()

    with without_ray(Beside), monkeypatch.context() as patch:
        patch.setattr(photo_reader, "read_input", fetch)
        result = run_job(job, OPTIONS)
    assert verify_run(RunPaths(result.run), NullProgress()).n_corrupt == 0
    assert "two write over each other's files: wait until it has ended" in str(refused[0])
    assert not exists(RunPaths(result.run).lease)
    assert run_in_process(job, RunOptions(allow_code=True, retry_failed=True)).ok == 6
