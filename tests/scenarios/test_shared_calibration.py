"""Statistics and maps that jobs share: what reuses them, what does not, and two runs that use them at the same time."""

import json
import shutil

import pytest
from PIL import Image

from pipeline.calibration import calibration_of_run, list_run_maps
from pipeline.config import parse_job
from pipeline.errors import RunError
from pipeline.runs import RunPaths, read_manifest
from pipeline.runs import lease as lease_module
from pipeline.stages import RunOptions, open_run, run_job
from pipeline.storage import read, sha256_hex, write
from tests.support.calibration_work import count_work
from tests.support.in_process_pool import InProcessWorkerPool, run_in_process, without_ray
from tests.support.photos import make_photo, small_job_config

OPTIONS = RunOptions(allow_code=True)


@pytest.fixture
def work(monkeypatch):
    return count_work(monkeypatch)


@pytest.fixture(scope="module")
def first_job(tmp_path_factory):
    """The folder and the result of a job that is done: jobs of several tests share its calibration."""
    folder = tmp_path_factory.mktemp("first job")
    with pytest.MonkeyPatch.context() as patch:
        work = count_work(patch)
        result = run_in_process(parse_job(small_job_config(folder, 6, 6)))
    assert sorted(work.read) == sorted(3 * work.measured), "for the tone curve, the moments and the change"
    assert len(work.measured) == 6
    return folder, result


@pytest.fixture
def make_other_job(first_job, tmp_path):
    """Makes jobs whose output folders lie beside that of the first job."""
    folder, _ = first_job

    def build(output=None, **changes):
        output = {"uri": str(folder / tmp_path.name)} | (output or {})
        return parse_job(small_job_config(folder, 6, 6, output=output, **changes))

    return build


def maps_of(result):
    """The SHA-256 of the maps that made the results of a run."""
    return set(read_manifest(RunPaths(result.run))["map_sha256"].to_pylist())


def calibration_of(result):
    return calibration_of_run(RunPaths(result.run))


def sibling(tmp_path):
    return {"uri": str(tmp_path / "another output folder")}


@pytest.mark.parametrize(
    "changes",
    [
        {"transport": {"alpha": 0.25}},
        {"transport": {"mode": "plain"}},
        {"transport": {"preserve": ["chroma", "mean"]}},
        {"output": {"format": "jpeg:quality=90"}},
        {"output": {"metadata": "strip"}},
        {"output": {"layout": "webdataset"}},
        {"output": {"layout": "parquet"}},
        {"output": {}},
        {"name": "another name"},
        {"compute": {"images_per_shard": 3, "dtype": "float32"}},
        {"limits": {"max_error_rate": 0.5, "image_timeout_s": 99}},
    ],
    ids=str,
)
def test_statistics_and_map_are_reused_by_a_job_that_applies_the_map_differently(
    first_job, make_other_job, work, changes
):
    _, first = first_job
    other = run_in_process(make_other_job(**changes))
    assert (work.read, work.measured) == ([], [])
    assert other.run != first.run
    assert (other.ok, other.complete, other.drift["images"]) == (6, True, 6)
    assert calibration_of(other) == calibration_of(first)
    assert maps_of(other) == maps_of(first)
    assert len(list_run_maps(calibration_of(first))) == 1


def test_statistics_and_map_are_reused_below_a_common_folder_of_runs(make_job, tmp_path, work):
    runs = str(tmp_path / "runs")
    first = run_in_process(make_job(run=runs, output=str(tmp_path / "a" / "out")))
    assert calibration_of(first).uri.startswith(f"{runs}/calibrations/")
    work.clear()
    other = run_in_process(make_job(run=runs, output=str(tmp_path / "b" / "out"), transport={"alpha": 0.25}))
    assert (work.read, work.measured) == ([], [])
    assert calibration_of(other) == calibration_of(first)


def test_statistics_and_map_of_a_job_that_is_calibrated_from_its_input_are_reused(make_job, tmp_path, work):
    calibration = {"degradation": "blur:sigma=1"}
    first = run_in_process(make_job(calibration=calibration))
    assert len(work.measured) == 6
    work.clear()
    other = run_in_process(make_job(calibration=calibration, transport={"alpha": 0.25}, output=sibling(tmp_path)))
    assert (work.read, work.measured) == ([], [])
    assert maps_of(other) == maps_of(first)


@pytest.mark.parametrize(
    "changes",
    [
        {"transport": {"patch_size": 1}},
        {"calibration": {"degradation": "blur:sigma=2"}},
        {"calibration": {"restorer": "median:size=3"}},
        {"calibration": {"limit": 5}},
        {"autoencoder": "tests.support.fake_autoencoders:blocks"},
        {"tiles": {"max_side": 128}},
    ],
    ids=str,
)
def test_statistics_are_computed_for_a_job_with_another_calibration(first_job, make_other_job, work, changes):
    folder, first = first_job
    given = {"reference": str(folder / "natural"), "degradation": "blur:sigma=1"} | changes.get("calibration", {})
    other = run_in_process(make_other_job(**changes | {"calibration": given}))
    assert 3 * len(work.measured) == len(work.read) >= 15, "for the tone curve, the moments and the change"
    assert calibration_of(other) != calibration_of(first)
    assert len(list_run_maps(calibration_of(first))) == len(list_run_maps(calibration_of(other))) == 1


@pytest.mark.parametrize("uri", ["{run}", "{map}/{run}", "{run}/{map}"])
def test_a_run_placeholder_gives_every_run_an_output_folder_of_its_own(make_job, tmp_path, work, uri):
    jobs = [make_job(output=str(tmp_path / "out" / uri), transport={"alpha": alpha}) for alpha in (0.0, 0.5)]
    results = [run_in_process(job) for job in jobs]
    assert len(work.measured) == 6
    for result in results:
        (map_sha256,) = maps_of(result)
        run_id = result.run.rpartition("/")[2]
        folder = tmp_path / "out" / uri.format(run=run_id, map=map_sha256[:16])
        for row in read_manifest(RunPaths(result.run)).to_pylist():
            assert row["output_uri"] == str(folder / row["file_name"])
            assert sha256_hex(read(row["output_uri"])) == row["output_sha256"]


def test_a_map_placeholder_gives_every_map_an_output_folder_of_its_own(make_job, tmp_path):
    uri = str(tmp_path / "out" / "{map}")
    first = run_in_process(make_job(output=uri))
    other = run_in_process(make_job(output=uri, transport={"patch_size": 1}))
    folders = {path.name for path in (tmp_path / "out").iterdir() if path.name != "_deepot"}
    assert folders == {sha256[:16] for sha256 in maps_of(first) | maps_of(other)}
    with pytest.raises(RunError, match=r"made with other settings .* put \{run\} into it"):
        run_in_process(make_job(output=uri, transport={"alpha": 0.25}))


def test_a_job_without_map_placeholder_keeps_its_map_whatever_other_jobs_fit(make_job, tmp_path):
    """Two jobs share a calibration, and one of them refits: the results of the other must not mix."""
    fixed = make_job()
    refitting = make_job(output=str(tmp_path / "refitted" / "{map}"), transport={"refit": "always"})
    first = run_in_process(fixed)
    assert run_in_process(refitting).drift["refitted"] is False
    make_photo(100).save(tmp_path / "natural" / "late.png")
    assert run_in_process(refitting).drift["refitted"] is True
    make_photo(101).save(tmp_path / "restored" / "late.png")
    again = run_in_process(fixed)
    maps = list_run_maps(calibration_of(first))
    assert (again.run, again.done_now, len(maps)) == (first.run, 1, 2)
    assert maps_of(again) == {sha256_hex(read(maps[0]))}
    assert again.drift["map_sha256"] == sha256_hex(read(maps[0]))
    assert run_in_process(make_job(output=str(tmp_path / "new"))).ok == 7
    assert run_in_process(refitting).done_now == 1


class Interrupting(InProcessWorkerPool):
    """Calls `interrupt` once, after the first result of the stage of that number: 0 the tone curve, 1 the moments."""

    interrupt, stage = None, 1

    def map_unordered(self, function, items, _on_worker_death=None, **_):
        self.stages_started = getattr(self, "stages_started", -1) + 1
        for number, item in enumerate(items):
            yield function(item)
            if number == 0 and self.stages_started == Interrupting.stage and Interrupting.interrupt is not None:
                interrupt, Interrupting.interrupt = Interrupting.interrupt, None
                interrupt()


@pytest.fixture
def run_with_interruption(monkeypatch):
    """Runs a job, and calls a function in the middle of its statistics, as from another process."""

    def run(job, interrupt):
        def interrupt_as_another_process():
            with monkeypatch.context() as patch:
                patch.setattr(lease_module, "_HELD_LEASES", {})
                interrupt()

        monkeypatch.setattr(Interrupting, "interrupt", interrupt_as_another_process)
        with without_ray(Interrupting):
            return run_job(job, OPTIONS)

    return run


@pytest.fixture
def without_conditional_create(monkeypatch):
    """Storage that cannot decide between two drivers."""
    monkeypatch.setattr(lease_module, "supports_conditional_create", lambda _: False)
    monkeypatch.setattr(lease_module, "HEARTBEAT_S", 0.01)


@pytest.mark.parametrize(("stage", "computed_twice"), [(0, 0), (1, 5)])
def test_two_runs_fit_a_shared_calibration_at_the_same_time(
    make_job, tmp_path, work, run_with_interruption, monkeypatch, stage, computed_twice
):
    monkeypatch.setattr(Interrupting, "stage", stage)
    results = []
    other_job = make_job(transport={"alpha": 0.25}, output=sibling(tmp_path))
    first = run_with_interruption(make_job(), lambda: results.append(run_in_process(other_job)))
    (other,) = results
    assert (first.ok, other.ok, first.complete, other.complete) == (6, 6, True, True)
    assert len(work.measured) == 6 + computed_twice, "either run reuses what the other one had stored by then"
    assert maps_of(first) == maps_of(other) == {sha256_hex(read(uri)) for uri in list_run_maps(calibration_of(first))}


def test_a_second_run_waits_for_the_lease_of_a_shared_calibration(
    make_job, tmp_path, work, run_with_interruption, without_conditional_create
):
    errors = []
    other_job = make_job(transport={"alpha": 0.25}, output=sibling(tmp_path))

    def start_other():
        with pytest.raises(
            RunError, match=r"/calibrations/\w+ has another driver, .*: wait until it has finished"
        ) as caught:
            run_in_process(other_job)
        errors.append(caught.value)

    first = run_with_interruption(make_job(), start_other)
    assert len(errors) == 1
    assert (first.ok, first.complete, len(work.measured)) == (6, True, 6)
    other = run_in_process(other_job)
    assert (other.ok, other.complete, len(work.measured)) == (6, True, 6)
    assert maps_of(first) == maps_of(other)
    assert not list(tmp_path.rglob("driver.json"))


def test_a_run_that_has_lost_the_lease_of_its_calibration_stores_no_map(
    make_job, run_with_interruption, without_conditional_create, monkeypatch
):
    monkeypatch.setattr(lease_module.Lease, "heartbeat", lambda _: None)
    job = make_job()
    calibration = open_run(job, OPTIONS).calibration

    def take_over():
        monkeypatch.setattr(lease_module.time, "time", lambda: 10.0**10)
        write(calibration.lease, json.dumps({"driver": "x", "host": "h", "process": 1, "time": 10.0**10}).encode())

    with pytest.raises(RunError, match=r"taken over by another driver \(now process 1 on h\)"):
        run_with_interruption(job, take_over)
    assert list_run_maps(calibration) == []


@pytest.mark.parametrize("common", [{}, {"run": True}], ids=["runs beside the results", "one folder of runs"])
def test_a_job_file_started_in_two_folders_never_shares_a_run(make_job, tmp_path, monkeypatch, common):
    results = []
    runs = {"run": str(tmp_path / "runs")} if common else {}
    for number, folder in enumerate(("one", "two")):
        (tmp_path / folder / "in").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / folder)
        for seed in range(2):
            make_photo(10 * number + seed).save(f"in/{seed}.png")
        relative = {"input": "in", "output": "out", "calibration": {"degradation": "blur:sigma=1"}}
        results.append(run_in_process(make_job(**relative, **runs)))
    first, second = results
    assert first.run != second.run
    assert calibration_of(first) != calibration_of(second)
    for folder, result in zip(("one", "two"), results, strict=True):
        rows = read_manifest(RunPaths(result.run)).to_pylist()
        assert [row["status"] for row in rows] == ["ok", "ok"]
        for row in rows:
            assert row["input_uri"] == str(tmp_path / folder / "in" / row["file_name"])
            assert row["output_uri"] == str(tmp_path / folder / "out" / row["file_name"])
            assert sha256_hex(read(row["output_uri"])) == row["output_sha256"]
    pixels = [Image.open(tmp_path / folder / "out" / "0.png").tobytes() for folder in ("one", "two")]
    assert pixels[0] != pixels[1]


def test_a_job_file_with_a_common_output_is_refused_in_the_second_folder(make_job, tmp_path, monkeypatch):
    for folder in ("one", "two"):
        (tmp_path / folder / "in").mkdir(parents=True)
        make_photo(len(folder)).save(tmp_path / folder / "in" / "0.png")
    shutil.copy(tmp_path / "two" / "in" / "0.png", tmp_path / "two" / "in" / "1.png")
    monkeypatch.chdir(tmp_path / "one")
    first = run_in_process(make_job(input="in"))
    before = {path: path.read_bytes() for path in (tmp_path / "enhanced").glob("*.png")}
    monkeypatch.chdir(tmp_path / "two")
    with pytest.raises(RunError, match="made with other settings or models: name another output"):
        run_in_process(make_job(input="in"))
    assert {path: path.read_bytes() for path in (tmp_path / "enhanced").glob("*.png")} == before
    assert first.ok == len(before) == 1
