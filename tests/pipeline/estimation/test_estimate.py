"""What an estimate says of a job, against the job itself; without Ray."""

import json
import time
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from jobs.cli import main
from pipeline.calibration import calibration_of_run
from pipeline.cluster.resources import WorkerResources
from pipeline.errors import NothingFoundError
from pipeline.estimation import estimate
from pipeline.estimation.stratified_sampling import TotalEstimate
from pipeline.progress import NullProgress
from pipeline.runs.commits import iter_commits
from pipeline.runs.manifest import read_manifest
from pipeline.runs.paths import RunPaths
from pipeline.stages.driver import RunOptions, open_run, plan_job, run_job

HOW = RunOptions(allow_code=True)


@pytest.fixture(autouse=True)
def room(monkeypatch, in_process):
    monkeypatch.setattr(estimate, "plan_cluster_workers", lambda _: WorkerResources(2, 1.0, 0.0))


@pytest.fixture
def planned():
    def plan(job):
        opened = open_run(job, HOW)
        plan_job(opened)
        return opened

    return plan


def files(folder):
    return {str(path): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.mark.parametrize("layout", ["files", "webdataset"])
def test_a_sample_of_all_tells_bytes_and_requests_as_they_come(planned, make_job, tmp_path, layout):
    output = {"uri": str(tmp_path / "enhanced"), "layout": layout}
    opened = planned(make_job(output=output))
    before, held = files(tmp_path), set(MemoryFileSystem.store)
    found = estimate.estimate_job(opened, 100)
    after = files(tmp_path)
    assert {name for name in after.keys() - before.keys()} == {opened.calibration.photo_list("both", 1)}, (
        "as `deepot fit` would"
    )
    assert set(MemoryFileSystem.store) == held, "nothing is kept in memory"
    assert (found.images, found.pilot_photos, found.calibration_images, found.workers, found.pilot_workers) == (
        6,
        6,
        6,
        2,
        1,
    )
    assert found.apply_s.standard_error == 0 < found.apply_s.value
    assert 0 < found.calibration_s.standard_error < found.calibration_s.value, "four of its six photos were tried"
    assert found.hours.value == pytest.approx((found.apply_s + found.calibration_s).value / 7200 + found.fit_s / 3600)

    run = RunPaths(run_job(opened.job, HOW).run)
    rows = read_manifest(run)
    assert found.result_bytes.value == pytest.approx(sum(rows["output_bytes"].to_pylist()), rel=0.01), "another map"
    moments = files(Path(opened.calibration.uri) / "moments" / "source") | files(
        Path(opened.calibration.uri) / "moments" / "reference"
    )
    parts = sum(part.size for _, parts in iter_commits(run) for part in parts)
    assert found.run_folder_bytes == pytest.approx(parts + sum(map(len, moments.values())), rel=0.4)
    results = len(files(tmp_path / "enhanced")) - len(files(tmp_path / "enhanced" / "_deepot")) - 1  # _owner.json
    assert found.writes == results + len(moments) + 2 * len(list(iter_commits(run)))
    with pytest.raises(NothingFoundError, match="nothing is left to do"):
        estimate.estimate_job(opened, 100)


class Stopwatch(NullProgress):
    """Seconds of each stage."""

    def __init__(self):
        self.stage, self.begun, self.seconds = "", 0.0, {}

    def begin(self, stage, total):
        self.stage, self.begun = stage, time.monotonic()

    def end(self):
        self.seconds[self.stage] = time.monotonic() - self.begun


def test_the_job_takes_as_long_as_its_estimate(planned, make_job, monkeypatch):
    """With an autoencoder that sleeps, so that a busy machine does not matter; one worker does all."""
    monkeypatch.setattr("tests.support.fake_autoencoders.time.sleep", lambda _, sleep=time.sleep: sleep(0.04))
    job = make_job(12, autoencoder="tests.support.fake_autoencoders:slow")
    found = estimate.estimate_job(planned(job), 8, workers=1)
    assert (found.pilot_photos, found.images) == (8, 12)
    watch = Stopwatch()
    run_job(job, RunOptions(allow_code=True, progress=watch))
    assert found.apply_s.value / watch.seconds["apply"] == pytest.approx(1, abs=0.4)
    assert found.calibration_s.value / watch.seconds["moments"] == pytest.approx(1, abs=0.4)
    whole = watch.seconds["apply"] + watch.seconds["moments"]
    assert found.hours.value * 3600 / whole == pytest.approx(1, abs=0.4)


def test_a_few_of_many_are_tried_and_a_map_that_exists_is_used(planned, make_job, tmp_path):
    job = make_job()
    run = RunPaths(run_job(job, HOW).run)
    output, known_map = str(tmp_path / "other"), calibration_of_run(run).map()
    more = planned(make_job(input={"images": str(tmp_path / "natural")}, output=output, map=known_map))
    found = estimate.estimate_job(more, 2, workers=50)
    assert (found.calibration_images, found.calibration_s, found.fit_s) == (0, TotalEstimate(0, 0), 0)
    assert (found.images, found.pilot_photos, found.workers) == (6, 6, 50)
    assert found.hours.value == pytest.approx(found.apply_s.value / 3600 / 50)


def test_new_photos_of_the_calibration_are_part_of_it_where_a_map_exists(planned, make_job, tmp_path):
    job = make_job()
    run_job(job, HOW)
    for side, count in (("restored", 2), ("natural", 3)):
        (old,) = (tmp_path / side).glob("photo 01.png")
        for number in range(count):
            (tmp_path / side / f"new {number}.png").write_bytes(old.read_bytes())
    found = estimate.estimate_job(planned(job), 100)
    assert (found.images, found.calibration_images, found.fit_s) == (2, 3, 0)
    assert found.calibration_s.value > 0


def test_photos_that_cannot_be_done_are_part_of_the_estimate(planned, make_job, tmp_path):
    job = make_job()
    (tmp_path / "restored" / "photo 01.png").write_bytes(b"broken")
    found = estimate.estimate_job(planned(job), 100)
    assert found.error_counts == {"not_an_image": 1}


@pytest.mark.parametrize(
    "changes",
    [
        {"calibration": {"degradation": "blur:sigma=1"}},
        {"calibration": {"restored": "SOURCE"}},
        {"transport": {"mixture_components": 3}},
    ],
    ids=["self", "unpaired", "mixture"],
)
def test_every_way_of_calibrating_can_be_tried(planned, make_job, tmp_path, changes):
    if "restored" in changes.get("calibration", ()):
        folders = {"reference": str(tmp_path / "natural"), "restored": str(tmp_path / "restored")}
        changes = {"calibration": folders}
    found = estimate.estimate_job(planned(make_job(**changes)), 8)
    assert found.calibration_s.value > 0
    assert found.error_counts == {}


def test_the_command(make_job, tmp_path, capsys):
    make_job()
    path = tmp_path / "job.yaml"
    content = {
        "input": {"images": str(tmp_path / "restored")},
        "calibration": {"reference": str(tmp_path / "natural"), "degradation": "blur:sigma=1"},
        "autoencoder": "tests.support.fake_autoencoders:shuffle",
        "output": {"uri": str(tmp_path / "enhanced")},
    }
    path.write_text(json.dumps(content))
    flags = ["--estimate", "100", "--workers", "5", "--price-per-hour", "0.5"]
    assert main(["plan", str(path), "--allow-code", "--json", *flags]) == 0
    out = capsys.readouterr().out
    told = json.loads(out.splitlines()[-1])["estimate"]
    assert told["cost"][0] == pytest.approx(0.5 * told["worker_hours"][0])
    assert told["hours"][0] > told["worker_hours"][0] / 5, "the map is fitted by one"
    assert (told["tried"], told["left"], told["gpu_hours"]) == (6, 6, [0, 0, 0])
    assert "hours with 5 workers" in out
    for wrong, message in [
        (["--estimate", "0"], "--estimate is 0, it must be at least 1"),
        (["--estimate", "--price-per-hour", "nan"], "it must be a price"),
        (["--workers", "3"], "are for --estimate; give that too"),
    ]:
        assert main(["plan", str(path), "--allow-code", *wrong]) == 2
        assert message in capsys.readouterr().err
