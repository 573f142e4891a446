"""A second driver on the same run: refused while the first one lives, and never mixed with it."""

import json
import threading

import pytest

from pipeline.errors import ErrorCode, ImageError, RunError
from pipeline.maintenance import VerificationReport, verify_run
from pipeline.progress import NullProgress
from pipeline.runs import RunPaths, commits, list_committed_shards
from pipeline.runs import lease as lease_module
from pipeline.stages.driver import RunOptions, open_run, run_job
from pipeline.storage import delete, exists, read, write
from pipeline.workers import photo_reader
from tests.support.fake_clock import FakeClock
from tests.support.in_process_pool import OPTIONS, InProcessWorkerPool, run_in_process, without_ray


def test_a_run_stops_where_another_driver_has_taken_over(make_job, monkeypatch):
    """During apply: what is committed counts, and the lease of the other driver stays."""
    clock, first_commit = FakeClock(), threading.Event()
    monkeypatch.setattr(lease_module, "supports_conditional_create", lambda _: False)
    monkeypatch.setattr(lease_module, "time", clock)
    job = make_job()
    run = open_run(job, OPTIONS).run
    other = json.dumps({"driver": "x", "host": "elsewhere", "process": 1, "time": clock.now}).encode()

    class TakenOver(InProcessWorkerPool):
        n_waits = 0

        def wait(self):
            self.n_waits += 1
            if self.n_waits == 2:
                assert first_commit.wait(200)
                write(run.lease, other)
                clock.now += 3 * lease_module.HEARTBEAT_S
            return super().wait()

    def create_if_absent(uri, data):
        created = real_create(uri, data)
        first_commit.set()
        return created

    real_create = commits.create_if_absent
    monkeypatch.setattr(commits, "create_if_absent", create_if_absent)
    with without_ray(TakenOver), pytest.raises(RunError, match="taken over by another driver"):
        run_job(job, OPTIONS)
    assert read(run.lease) == other
    assert len(list_committed_shards(run)) == 1
    delete(run.lease)
    assert run_in_process(job).complete
    assert verify_run(run, NullProgress()) == VerificationReport(6, (), 6)


@pytest.mark.parametrize("layout", ["webdataset", "parquet"])
def test_a_second_driver_is_refused_where_results_share_files(make_job, tmp_path, monkeypatch, layout):
    """Its tar for a shard would differ, under the same name, where only one of them could read a photo."""
    job = make_job(output={"uri": str(tmp_path / "enhanced"), "layout": layout})
    real_read_input, refused = photo_reader.read_input, []

    def read_input(entry, *options):
        if refused and entry.key == "photo 01.png":
            raise ImageError(ErrorCode.READ_FAILED, "not now")
        return real_read_input(entry, *options)

    class WithSecondDriver(InProcessWorkerPool):
        def wait(self):
            if not refused:
                with monkeypatch.context() as patch:
                    patch.setattr(lease_module, "_HELD_LEASES", {})  # as in another process
                    try:
                        refused.append(run_in_process(job))
                    except RunError as error:
                        refused.append(error)
            return super().wait()

    with without_ray(WithSecondDriver), monkeypatch.context() as patch:
        patch.setattr(photo_reader, "read_input", read_input)
        result = run_job(job, OPTIONS)
    assert verify_run(RunPaths(result.run), NullProgress()).n_corrupt == 0
    assert "two drivers would overwrite each other's files: wait until it has finished" in str(refused[0])
    assert not exists(RunPaths(result.run).lease)
    assert run_in_process(job, RunOptions(allow_code=True, retry_failed=True)).ok == 6
