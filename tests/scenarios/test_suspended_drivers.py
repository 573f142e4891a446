"""Drivers that were suspended by SIGSTOP, and wake up after another one has finished their run."""

import pytest
import yaml

from pipeline.config import load_job
from pipeline.maintenance import OrphanKind, find_orphans, remove_orphans, verify_run
from pipeline.progress import NullProgress
from pipeline.runs import RunPaths, list_committed_shards, read_manifest
from pipeline.stages import fit_job, open_run, plan_job
from tests.support.driver_processes import read_commits
from tests.support.in_process_pool import OPTIONS, run_in_process, without_ray
from tests.support.photos import small_job_config
from tests.support.suspended_driver import resume, suspended_drivers

IMAGES, SHARDS = 6, 3


def read_files(folder):
    """The files of a folder, without temporary ones and the marks that drivers leave for their workers."""
    files = (path for path in folder.iterdir() if path.is_file() and path.suffix != ".partial")
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("layout", "module"), [("webdataset", "webdataset_writer"), ("parquet", "parquet_writer")])
def test_drivers_that_wake_up_late_change_no_result(tmp_path, layout, module):
    """Each is suspended elsewhere in a shard: before its file of results, its manifest file, and its commit."""
    out, job_file = tmp_path / "enhanced", str(tmp_path / "job.yaml")
    config = small_job_config(tmp_path, IMAGES, 3, output={"uri": str(out), "layout": layout})
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(config))
    job = load_job(job_file)
    with without_ray():
        context = open_run(job, OPTIONS)
        plan_job(context)
        fit_job(context)
    points = (
        f"pipeline.outputs.{module}.write",
        "pipeline.workers.shard_worker.write_manifest_file",
        "pipeline.stages.shard_scheduler.commit",
    )
    with suspended_drivers(job_file, points, tmp_path / "logs") as drivers:
        assert list_committed_shards(context.run) == set()
        result = run_in_process(job)
        assert (result.complete, result.ok, result.done_now) == (True, IMAGES, IMAGES)
        run = RunPaths(result.run)
        commits, files, rows = read_commits(out), read_files(out), read_manifest(run)
        for driver in drivers:
            status, log = resume(driver)
            assert status == 0, log
    assert read_commits(out) == commits
    assert read_manifest(run).equals(rows)
    later = read_files(out)
    assert {name: later[name] for name in files} == files, "no file was written again"
    assert verify_run(run, NullProgress()).findings == ()

    named = {uri.partition("#")[0].rpartition("/")[2] for uri in rows["output_uri"].to_pylist()}
    assert len(named) == SHARDS
    removed = {each.entry.key for each in remove_orphans(find_orphans(run, 1e12)) if each.kind is OrphanKind.RESULT}
    assert removed == {name for name in later if not name.startswith("_")} - named
    assert len(removed) >= len(points), "each driver has left the file of the shard that it was suspended in"
    assert verify_run(run, NullProgress()).findings == ()
