"""A second driver on the same run: it takes over or works along, and results of the two never mix."""

import json
import threading

import pytest

from pipeline.errors import ErrorCode, ImageError, RunError
from pipeline.maintenance import OrphanKind, VerificationReport, find_orphans, remove_orphans, verify_run
from pipeline.progress import NullProgress
from pipeline.runs import RunPaths, commits, list_committed_shards
from pipeline.runs import lease as lease_module
from pipeline.stages import open_run, run_job
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
def test_a_second_driver_finishes_a_run_whose_results_share_files(make_job, tmp_path, monkeypatch, layout):
    """The first one cannot read a photo afterwards, so its files would differ; its commits are refused."""
    job = make_job(output={"uri": str(tmp_path / "enhanced"), "layout": layout})
    real_read_input, finished = photo_reader.read_input, []

    def read_input(entry, *options):
        if finished and entry.key == "photo 01.png":
            raise ImageError(ErrorCode.READ_FAILED, "not now")
        return real_read_input(entry, *options)

    class WithSecondDriver(InProcessWorkerPool):
        def wait(self):
            if not finished:
                finished.append(run_in_process(job))
            return super().wait()

    with without_ray(WithSecondDriver), monkeypatch.context() as patch:
        patch.setattr(photo_reader, "read_input", read_input)
        result = run_job(job, OPTIONS)
    run = RunPaths(result.run)
    assert (finished[0].ok, finished[0].done_now, result.ok, result.done_now) == (6, 6, 6, 0)
    assert verify_run(run, NullProgress()) == VerificationReport(6, (), 6)
    assert not exists(run.lease)
    removed = [orphan.kind for orphan in remove_orphans(find_orphans(run, 1e12))]
    assert removed == [OrphanKind.RESULT] * 3 + [OrphanKind.MANIFEST_FILE] * 3
    assert verify_run(run, NullProgress()) == VerificationReport(6, (), 6)
