"""Nodes without a shared disk: the job stops before any work, with one sentence, and commits nothing it cannot read."""

import shutil
import socket
from pathlib import Path

import pytest

from pipeline.errors import PipelineError, RunError
from pipeline.evaluation import evaluate_job
from pipeline.runs import RunPaths, read_manifest
from pipeline.stages import open_run, run_job
from tests.support.in_process_pool import OPTIONS, InProcessWorkerPool, run_in_process, without_ray
from tests.support.unshared_disk import OtherNode

FOLDERS = ("restored", "natural", "enhanced", "run")


@pytest.fixture
def job(make_job, tmp_path):
    return make_job(run=str(tmp_path / "run"))


def run_on_other_node(job, tmp_path, *unshared):
    """Run a job on a worker that has other folders of these names."""
    node = OtherNode(tmp_path / "node", [tmp_path / name for name in FOLDERS if name not in unshared])
    with without_ray(node.pool):
        return run_job(job, OPTIONS)


def commits(tmp_path):
    return [*tmp_path.glob("run/*/commits/*.json")]


def marks(tmp_path):
    return [*tmp_path.rglob(".*.partial")]


@pytest.mark.parametrize(
    ("unshared", "folder"),
    [
        (FOLDERS, "run"),
        (("run",), "run"),
        (("enhanced",), "enhanced"),
        (("restored", "enhanced"), "enhanced"),
        (("natural",), "natural"),
        (("restored",), "restored"),
    ],
    ids=str,
)
def test_run_on_a_node_without_a_folder_names_the_node_and_the_folder(job, tmp_path, unshared, folder):
    message = rf"the worker on node {socket.gethostname()} does not see {tmp_path / folder}.*storage that all of them"
    with pytest.raises(PipelineError, match=message) as raised:
        run_on_other_node(job, tmp_path, *unshared)
    assert "\n" not in str(raised.value)
    assert (commits(tmp_path), marks(tmp_path)) == ([], [])
    assert not [*(tmp_path / "node").rglob("*")], "nothing was written on the other disk"


@pytest.mark.parametrize("layout", ["files", "webdataset", "parquet"])
def test_run_on_a_node_that_loses_its_output_folder_after_the_calibration_is_refused(make_job, tmp_path, layout):
    """Also where the folder is on the node, with other files in it."""
    job = make_job(run=str(tmp_path / "run"), output={"uri": str(tmp_path / "enhanced"), "layout": layout})
    other = Path(f"{tmp_path / 'node'}{tmp_path / 'enhanced'}")
    (other / "sub").mkdir(parents=True)
    (other / "_owner.json").write_text("{}")
    run_in_process(job)
    shutil.rmtree(next((tmp_path / "run").glob("*/commits")))
    with pytest.raises(PipelineError, match=rf"node .* does not see {tmp_path / 'enhanced'} as the driver on"):
        run_on_other_node(job, tmp_path, "enhanced")
    assert commits(tmp_path) == []


def test_run_on_a_node_without_the_map_of_the_job_is_refused(make_job, tmp_path):
    fitted = run_in_process(make_job(run=str(tmp_path / "run"), output={"uri": str(tmp_path / "first")}))
    maps = tmp_path / "maps"
    maps.mkdir()
    (found,) = (Path(fitted.run).parent / "calibrations").rglob("map*.safetensors")
    shutil.copy(found, maps / "map.safetensors")
    job = make_job(run=str(tmp_path / "run"), calibration=None, map=str(maps / "map.safetensors"))
    with pytest.raises(PipelineError, match=f"does not see {maps} as"):
        run_on_other_node(job, tmp_path)


def test_run_on_a_node_with_all_folders_finishes_and_leaves_no_marks(job, tmp_path):
    result = run_on_other_node(job, tmp_path)
    assert (result.ok, result.complete) == (6, True)
    assert marks(tmp_path) == []


def test_run_goes_on_if_the_first_photos_are_moved_away_meanwhile(job, tmp_path):
    class MovingPool(InProcessWorkerPool):
        def configure(self, config, max_workers):
            for path in sorted((tmp_path / "restored").rglob("*.png"))[:-1]:
                path.unlink()
            super().configure(config, max_workers)

    with without_ray(MovingPool):
        result = run_job(job, OPTIONS)
    assert (result.ok, result.codes) == (1, {"missing": 5})


def test_evaluation_on_a_node_without_the_clean_photos_is_refused(make_job, tmp_path):
    job = make_job(run=str(tmp_path / "run"), evaluate={"clean": str(tmp_path / "natural")})
    shutil.rmtree(tmp_path / "restored")
    shutil.copytree(tmp_path / "natural", tmp_path / "restored")
    node = OtherNode(tmp_path / "node", [tmp_path / name for name in FOLDERS if name != "natural"])
    run_in_process(job)
    with without_ray(node.pool), pytest.raises(PipelineError, match=f"does not see {tmp_path / 'natural'} as"):
        evaluate_job(open_run(job, OPTIONS))


@pytest.mark.parametrize("layout", ["files", "webdataset", "parquet"])
@pytest.mark.parametrize("lost", ["manifest file", "results"])
def test_shard_whose_files_the_driver_does_not_see_is_not_committed(make_job, tmp_path, layout, lost):
    """The worker has written them elsewhere after all, as on a share that was lost in between."""

    folder = tmp_path / ("run" if lost == "manifest file" else "enhanced")

    class LosingPool(InProcessWorkerPool):
        def wait(self):
            item, manifest_file = super().wait()
            for path in folder.rglob("*.*"):
                if path.parent.name == "manifest" or (lost == "results" and path.suffix != ".json"):
                    path.unlink()
            return item, manifest_file

    job = make_job(run=str(tmp_path / "run"), output={"uri": str(tmp_path / "enhanced"), "layout": layout})
    message = rf"is not committed: a worker has written {folder}/.*, and the driver on {socket.gethostname()} does not"
    with without_ray(LosingPool), pytest.raises(RunError, match=message):
        run_job(job, OPTIONS)
    assert commits(tmp_path) == []
    result = run_in_process(job)
    assert (result.ok, result.complete) == (6, True)
    assert len(read_manifest(RunPaths(result.run))) == 6
