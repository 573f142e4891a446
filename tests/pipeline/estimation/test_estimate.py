"""Estimates of jobs, compared with the jobs themselves; without Ray."""

import json
import threading
from importlib import import_module
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from jobs.cli import main
from pipeline.calibration import calibration_of_run
from pipeline.errors import NothingFoundError
from pipeline.estimation import estimate_job
from pipeline.estimation.stratified_sampling import TotalEstimate
from pipeline.progress import NullProgress
from pipeline.runs.committed_rows import read_manifest
from pipeline.runs.paths import RunPaths
from pipeline.stages import RunOptions, open_run, plan_job, run_job
from pipeline.workers.resources import WorkerResources
from tests.support.committed_files import iter_commits
from tests.support.in_process_pool import InProcessWorkerPool

OPTIONS = RunOptions(allow_code=True)


@pytest.fixture(autouse=True)
def two_workers(monkeypatch, in_process):
    monkeypatch.setattr(InProcessWorkerPool, "resources", WorkerResources(2, 1.0, 0.0))


@pytest.fixture
def planned():
    def plan(job):
        context = open_run(job, OPTIONS)
        plan_job(context)
        return context

    return plan


def files(folder):
    return {str(path): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.mark.parametrize("layout", ["files", "webdataset"])
def test_estimate_job_from_all_photos_has_the_bytes_and_requests_of_the_run(planned, make_job, tmp_path, layout):
    output = {"uri": str(tmp_path / "enhanced"), "layout": layout}
    context = planned(make_job(output=output))
    before, held = files(tmp_path), set(MemoryFileSystem.store)
    found = estimate_job(context, 100)
    after = files(tmp_path)
    assert {name for name in after.keys() - before.keys()} == {context.calibration.photo_list("both", 1)}, (
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
    assert 0 < found.calibration_s.standard_error < found.calibration_s.value, "four of its six photos were timed"
    assert found.hours.value == pytest.approx((found.apply_s + found.calibration_s).value / 7200 + found.fit_s / 3600)

    run = RunPaths(run_job(context.job, OPTIONS).run)
    rows = read_manifest(run)
    assert found.result_bytes.value == pytest.approx(sum(rows["output_bytes"].to_pylist()), rel=0.01), "another map"
    folder = Path(context.calibration.uri) / "moments"
    tone = files(folder / "tone") | {"curve": (folder / "tone.safetensors").read_bytes()}
    moments = files(folder / "source") | files(folder / "reference") | tone
    parts = sum(part.size for _, parts in iter_commits(run) for part in parts)
    assert found.run_folder_bytes == pytest.approx(parts + sum(map(len, moments.values())), rel=0.4)
    results = len(files(tmp_path / "enhanced")) - len(files(tmp_path / "enhanced" / "_deepot")) - 1  # _owner.json
    assert found.writes == results + len(moments) + 2 * len(list(iter_commits(run)))
    with pytest.raises(NothingFoundError, match="nothing is left to do"):
        estimate_job(context, 100)


class VirtualClock(threading.local):
    """A clock of each thread that stands still except when that thread sleeps."""

    seconds = 0.0

    def __call__(self):
        return self.seconds

    def sleep(self, seconds):
        self.seconds += seconds


class StageTimer(NullProgress):
    """Seconds of each stage by a clock."""

    def __init__(self, clock):
        self.clock, self.stage, self.started, self.seconds = clock, "", 0.0, {}

    def begin(self, stage, total):
        self.stage, self.started = stage, self.clock()

    def end(self):
        self.seconds[self.stage] = self.clock() - self.started


def test_estimate_job_with_one_worker_is_the_time_of_the_run(planned, make_job, monkeypatch):
    """By a virtual clock that only the autoencoder advances, by the same time for each photo."""
    clock = VirtualClock()
    monkeypatch.setattr("time.perf_counter", clock)
    monkeypatch.setattr(import_module("tests.support.fake_autoencoders.faulty"), "time", clock)
    job = make_job(12, autoencoder="tests.support.fake_autoencoders:slow")
    found = estimate_job(planned(job), 8, workers=1)
    assert (found.pilot_photos, found.images) == (8, 12)
    timer = StageTimer(clock)
    run_job(job, RunOptions(allow_code=True, progress=timer))
    assert timer.seconds["apply"] > 0 and timer.seconds["moments"] > 0
    assert found.apply_s.value == pytest.approx(timer.seconds["apply"])
    assert found.calibration_s.value == pytest.approx(
        sum(timer.seconds[stage] for stage in ("tone", "moments", "change"))
    )
    assert found.apply_s.standard_error == pytest.approx(0) == found.calibration_s.standard_error
    assert found.hours.value * 3600 == pytest.approx(
        sum(timer.seconds[stage] for stage in ("tone", "moments", "change", "apply"))
    )


def test_estimate_job_with_a_map_samples_photos_and_counts_no_calibration(planned, make_job, tmp_path):
    job = make_job()
    run = RunPaths(run_job(job, OPTIONS).run)
    output, known_map = str(tmp_path / "other"), calibration_of_run(run).map()
    more = planned(make_job(input={"images": str(tmp_path / "natural")}, output=output, map=known_map))
    found = estimate_job(more, 2, workers=50)
    assert (found.calibration_images, found.calibration_s, found.fit_s) == (0, TotalEstimate(0, 0), 0)
    assert (found.images, found.pilot_photos, found.workers) == (6, 6, 50)
    assert found.hours.value == pytest.approx(found.apply_s.value / 3600 / 50)


def test_estimate_job_with_new_calibration_photos_counts_these_alone(planned, make_job, tmp_path):
    job = make_job()
    run_job(job, OPTIONS)
    for side, count in (("restored", 2), ("natural", 3)):
        (old,) = (tmp_path / side).glob("photo 01.png")
        for number in range(count):
            (tmp_path / side / f"new {number}.png").write_bytes(old.read_bytes())
    found = estimate_job(planned(job), 100)
    assert (found.images, found.calibration_images, found.fit_s) == (2, 3, 0)
    assert found.calibration_s.value > 0


def test_estimate_job_with_a_broken_photo_counts_its_error(planned, make_job, tmp_path):
    job = make_job()
    (tmp_path / "restored" / "photo 01.png").write_bytes(b"broken")
    found = estimate_job(planned(job), 100)
    assert found.error_counts == {"not_an_image": 1}


@pytest.mark.parametrize(
    "changes",
    [
        {"calibration": {"degradation": "blur:sigma=1"}},
        {"calibration": {"restored": "SOURCE"}},
        {"transport": {"mixture_components": 3}},
        {"transport": {"alpha": "per-photo"}},
    ],
    ids=["self", "unpaired", "mixture", "per-photo"],
)
def test_estimate_job_runs_every_kind_of_calibration(planned, make_job, tmp_path, changes):
    if "restored" in changes.get("calibration", ()):
        folders = {"reference": str(tmp_path / "natural"), "restored": str(tmp_path / "restored")}
        changes = {"calibration": folders}
    found = estimate_job(planned(make_job(**changes)), 8)
    assert found.calibration_s.value > 0
    assert found.error_counts == {}


def test_plan_estimate_prints_the_estimate_and_its_cost(make_job, tmp_path, capsys):
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
    record = json.loads(out.splitlines()[-1])["estimate"]
    assert record["cost"][0] == pytest.approx(0.5 * record["worker_hours"][0])
    assert record["hours"][0] > record["worker_hours"][0] / 5, "the map is fitted by the driver alone"
    assert (record["pilot_photos"], record["images"], record["gpu_hours"]) == (6, 6, [0, 0, 0])
    assert "hours with 5 workers" in out
    for wrong, message in [
        (["--estimate", "0"], "--estimate: '0' is not possible: give a whole number of at least 1"),
        (["--estimate", "--price-per-hour", "nan"], "'nan' is not possible: give a number of at least 0"),
        (["--workers", "3"], "--workers and --price-per-hour need --estimate: add it"),
    ]:
        try:
            status = main(["plan", str(path), "--allow-code", *wrong])
        except SystemExit as error:
            status = error.code
        assert status == 2
        assert message in capsys.readouterr().err
