"""Plan, statistics and a shard without Ray; the whole run with it."""

import json
import random
import re
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import deepot
from deepot.transport.binned_moments import BinnedMoments
from deepot.transport.moments import Moments
from deepot.transport.transport_map import TransportMap
from pipeline import calibration
from pipeline.calibration import Side, calibration_of_run, stored_moments
from pipeline.calibration.maps import fit_and_store_map
from pipeline.calibration.shard_moments import compute_shard_moments
from pipeline.cluster import dispatcher as module
from pipeline.errors import NothingFoundError, PipelineError, RunError, StorageError
from pipeline.maintenance.verify import VerificationReport, verify_run
from pipeline.progress import NullProgress
from pipeline.runs import plan_file, planning
from pipeline.runs.commits import iter_commits
from pipeline.runs.manifest import read_manifest
from pipeline.runs.manifest_schema import MANIFEST_SCHEMA
from pipeline.runs.paths import RunPaths
from pipeline.runs.plan import count_planned_images, iter_shards_by_descending_cost, read_plan
from pipeline.runs.planning import PlanSummary, extend_plan
from pipeline.runs.requeue import Problem
from pipeline.runs.sharding import Shard, estimate_cost, split_into_shards
from pipeline.runs.summary import summarize_run
from pipeline.sources.discovery import list_images
from pipeline.sources.sampling import HashSampler, sample_by_hash
from pipeline.stages.driver import RunOptions, apply_job, fit_job, open_run, plan_job, run_job
from pipeline.storage.objects import Entry, read
from pipeline.telemetry import logs
from tests.support.in_process_pool import run_in_process
from tests.support.photos import write_photos

HOW = RunOptions(allow_code=True)


class Exported(NullProgress):
    """Progress that waits, at the end of apply, until Ray exports all its images, and keeps what it exports."""

    def begin(self, stage, total):
        self.total = total

    def end(self):
        import ray

        (node,) = ray.nodes()
        url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
        deadline = time.monotonic() + 20
        while True:
            with urllib.request.urlopen(url, timeout=10) as answer:
                lines = answer.read().decode().splitlines()
            found = [re.fullmatch(r"ray_deepot_(\w+)\{(.*)\} (\S+)", line) for line in lines]
            split = [(each[1], each[2], float(each[3])) for each in found if each]
            self.samples = [(name, dict(re.findall(r'(\w+)="(.*?)"', tags)), value) for name, tags, value in split]
            failed = self.value("images_total", status="failed")
            told = failed and self.value("images_total") >= self.total
            driver_told = any(name == "images_left" and value == 0 for name, _, value in self.samples)
            if (told and driver_told) or time.monotonic() > deadline:
                return
            time.sleep(0.2)

    def value(self, metric, /, **tags):
        """The sum over all processes."""
        return sum(value for each, found, value in self.samples if each == metric and tags.items() <= found.items())


def worker_lines():
    """Lines of JSON that workers have logged."""
    import ray

    files = Path(ray._private.worker._global_node.get_logs_dir_path()).glob("worker-*.err")
    return [json.loads(line) for path in files for line in path.read_text().splitlines() if line.startswith("{")]


def entries(count, size=1):
    return [Entry(f"u{i}", f"k{i:04d}", size, "", 0.0) for i in range(count)]


def test_shards_depend_on_the_listing_alone():
    assert [len(shard.entries) for shard in split_into_shards(entries(10), 4)] == [4, 4, 2]
    assert {len(shard.entries) for shard in split_into_shards(entries(640))} == {10}
    assert max(len(shard.entries) for shard in split_into_shards(entries(100_000))) == 32
    assert len(list(split_into_shards(entries(4, size=400 * 2**20), 4))) == 4, "a shard holds a bounded number of bytes"


def sized(*megapixels, suffix="jpg"):
    return [Entry(f"u{i}", f"k{i:04d}.{suffix}", int(each * 5e5), "", 0.0) for i, each in enumerate(megapixels)]


def test_shards_are_of_about_the_same_cost():
    """A short listing of 64 times as much as a shard is to hold, in which large and small photos are mixed."""
    listed = sized(*[0.2, 0.2, 0.2, 24.0, 0.5, 12.0, 1.0, 6.0] * 60)
    shards = list(split_into_shards(listed))
    costs = [sum(map(estimate_cost, shard.entries)) for shard in shards]
    assert [entry for shard in shards for entry in shard.entries] == listed
    assert 50 <= len(shards) <= 90
    mean = sum(costs) / len(costs)
    assert max(costs) < 2 * mean, "at most half of the largest photo more than it should"
    assert len(next(split_into_shards(sized(*[100.0] * 3000))).entries) == 4, "of a long one, some 384 megapixels"
    assert [len(shard.entries) for shard in split_into_shards(sized(*[1.0] * 3000))][:3] == [32, 32, 32]
    assert [len(shard.entries) for shard in split_into_shards(sized(900, 900, *[1.0] * 3000))][:3] == [1, 1, 32]
    assert [len(shard.entries) for shard in split_into_shards(sized(90, 1, 1, 90), 2)] == [2, 2], (
        "a number that is asked for is kept"
    )


@pytest.mark.parametrize(
    ("size", "names", "shards"),
    [
        (1, ["0.a.png", "0.b.png", "1.a.png", "1.b.png", "1.c.png", "2.a.png", "2.b.png"], [5, 2]),
        (1, [f"scan.{number:02d}.png" for number in range(14)], [11, 3]),
        (1, ["m.x/0.png", "m.x/1.png", "m.x/2.png", "m.x/3.png", "m.x/4.png", "m.x/5.png", "m.x/6.png"], [3, 3, 1]),
        (400 * 2**20, ["0.a.png", "0.b.png", "0.c.png"], [2, 1]),
    ],
)
def test_samples_of_tars_are_not_cut_in_two(size, names, shards):
    listed = [Entry(f"/x.tar#{number}+9/{name}", f"x.tar/{name}", size, "", 0.0) for number, name in enumerate(names)]
    assert [len(shard.entries) for shard in split_into_shards(listed, 3)] == shards
    files = [Entry(f"/{name}", name, 1, "", 0.0) for name in names]
    assert max(len(shard.entries) for shard in split_into_shards(files, 3)) == 3, "files are cut anywhere"


def test_formats_are_told_apart_by_name():
    (jpeg,), (tiff,), (unknown,) = sized(8), sized(8, suffix="TIF"), sized(8, suffix="scan")
    assert estimate_cost(jpeg) == estimate_cost(unknown) > 3 * estimate_cost(tiff)
    assert estimate_cost(jpeg) == pytest.approx(8e6, rel=0.01)
    assert estimate_cost(Entry("u", "member without size", 0, "", 0.0)) > 0


def test_the_slowest_shards_come_first(tmp_path, monkeypatch):
    """In classes of a factor of two, over all parts of a plan, and only the wanted ones; nothing gets lost."""
    monkeypatch.setattr(planning, "_IMAGES_PER_PLAN_FILE", 40)
    run, listed = RunPaths(str(tmp_path)), sized(*[1, 30, 5, 8, 16, 0.5] * 20)
    extend_plan(run, listed, 1)
    every = set(range(120))
    found = list(iter_shards_by_descending_cost(run, every))
    assert {shard.number for shard in found} == every
    assert len(found) == 120
    assert found[0] == Shard(1, (listed[1],))
    costs = [sum(map(estimate_cost, shard.entries)) for shard in found]
    classes = [min(3, (max(costs) // each).bit_length() - 1) for each in costs]
    assert classes == sorted(classes)
    assert set(classes) == {0, 1, 2, 3}
    assert [shard.number for shard in found[:20]] == list(range(1, 60, 3))
    assert [shard.number for shard in iter_shards_by_descending_cost(run, {5, 0, 7, 64})] == [7, 64, 0, 5]
    assert list(iter_shards_by_descending_cost(run, set())) == []


def test_a_sample_comes_from_all_over_and_stays_the_same():
    chosen = sample_by_hash(entries(1000), 100)
    assert chosen == sample_by_hash(list(reversed(entries(1000))), 100)
    assert len({entry.key[:2] for entry in chosen}) == 1
    assert len({entry.key[1] for entry in sample_by_hash(entries(1000), 100)}) >= 1
    assert 20 < sum(entry.key < "k0500" for entry in chosen) < 80
    sampler, listed = HashSampler(100), entries(1000)
    assert list(sampler.tee(listed)) == listed, "a listing that goes by stays as it is"
    assert sampler.selection() == chosen
    assert sample_by_hash(entries(5), 100) == entries(5)


def test_plans_are_append_only(tmp_path):
    run = RunPaths(str(tmp_path))
    assert extend_plan(run, entries(5), 2) == PlanSummary(5, 5, 5, 5, 3)
    first = read(run.plan(1))
    assert extend_plan(run, entries(8), 2) == PlanSummary(8, 8, 3, 3, 2)
    assert read(run.plan(1)) == first
    assert [shard.number for shard in read_plan(run)] == [0, 1, 2, 3, 4]
    assert count_planned_images(run) == {0: 2, 1: 2, 2: 1, 3: 2, 4: 1}
    assert extend_plan(run, entries(8), 2).new == 0
    assert extend_plan(run, entries(8, size=2), 2).new == 8, "a changed image is a new one"
    assert extend_plan(run, entries(8, size=2), 2).new == extend_plan(run, entries(8), 2).new == 0


def test_a_long_plan_is_cut_into_parts_and_read_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "_IMAGES_PER_PLAN_FILE", 100)
    monkeypatch.setattr(plan_file, "ROWS_PER_BATCH", 7)
    run, listed = RunPaths(str(tmp_path)), entries(1000)
    even = listed[::2]
    assert extend_plan(run, even, 6) == PlanSummary(500, 500, 500, 500, 84)
    assert len(list(tmp_path.glob("plan-*.parquet"))) == 5, "each holds the shards that make it full"
    assert extend_plan(run, listed, 6).new == 500
    assert [entry for shard in read_plan(run) for entry in shard.entries] == even + listed[1::2]
    assert [shard.number for shard in read_plan(run)] == list(range(168))


def test_a_plan_cut_short_goes_on_behind_its_whole_parts(tmp_path, monkeypatch):
    def broken(listed):
        yield from listed[:250]
        raise StorageError("gone")

    monkeypatch.setattr(planning, "_IMAGES_PER_PLAN_FILE", 100)
    run = RunPaths(str(tmp_path))
    with pytest.raises(StorageError):
        extend_plan(run, broken(entries(300)), 10)
    assert sum(count_planned_images(run).values()) == 200
    assert extend_plan(run, entries(300), 10).new == 100
    assert [entry for shard in read_plan(run) for entry in shard.entries] == entries(300)


def test_entries_out_of_order_are_refused(tmp_path):
    with pytest.raises(ValueError, match="in the order of their keys"):
        extend_plan(RunPaths(str(tmp_path)), reversed(entries(3)))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_map_is_bit_identical_in_any_order_of_completion(make_job, tmp_path, seed):
    def shuffled(function, tasks):
        order = list(tasks)
        random.Random(seed).shuffle(order)
        return [function(task) for task in order]

    maps = []
    for execute, place in ((lambda f, t: [f(task) for task in t], "a"), (shuffled, "b")):
        opened = open_run(make_job(run=str(tmp_path / place)), HOW)
        pending = calibration.make_moments_tasks(opened.job, opened.calibration, True, opened.excluded_folders)
        source, reference = calibration.compute_moments(pending, execute, NullProgress())
        maps.append(
            fit_and_store_map(opened.job, opened.calibration, opened.models.autoencoder, source, reference).to_bytes()
        )
    assert maps[0] == maps[1]


def test_the_map_does_not_depend_on_the_threads_of_who_starts_the_job(make_job, tmp_path):
    before, maps = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        job = make_job(images=4, output={"uri": str(tmp_path / f"out-{threads}")})
        maps.append(read(calibration_of_run(RunPaths(run_in_process(job).run)).map()))
    torch.set_num_threads(before)
    assert maps[0] == maps[1]


def test_statistics_go_on_where_they_stopped(make_job):
    opened = open_run(make_job(), HOW)
    pending = calibration.make_moments_tasks(opened.job, opened.calibration, True, opened.excluded_folders)
    compute_shard_moments(pending[1])
    done = []

    def count(function, tasks):
        done.extend(task.shard.number for task in tasks)
        return [function(task) for task in tasks]

    calibration.compute_moments(pending, count, NullProgress())
    assert done == [0, 2, 3, 4, 5]
    path = opened.calibration.moments(Side.SOURCE, 0)
    assert Moments.from_bytes(read(path)).images == 1


def test_many_shards_make_few_blocks_of_neighbours(make_job, monkeypatch):
    opened = open_run(make_job(), HOW)
    pending = calibration.make_moments_tasks(opened.job, opened.calibration, True, opened.excluded_folders)
    whole, _ = calibration.compute_moments(pending, lambda f, t: [f(task) for task in t], NullProgress())
    monkeypatch.setattr(stored_moments, "MAX_MOMENT_BLOCKS", 4)
    blocks, _ = calibration.compute_moments(pending, lambda f, t: [f(task) for task in t], NullProgress())
    assert [block.images for block in blocks] == [2, 2, 2]
    assert torch.equal(blocks[1].scatter, whole[2].merge(whole[3]).scatter)


def test_unpaired_and_self_calibration(make_job, tmp_path):
    unpaired = make_job(calibration={"reference": str(tmp_path / "natural"), "restored": str(tmp_path / "restored")})
    alone = make_job(calibration={"degradation": "blur:sigma=1", "limit": 4})
    for job, images in ((unpaired, 6), (alone, 4)):
        opened = open_run(job, HOW)
        pending = calibration.make_moments_tasks(job, opened.calibration, True, opened.excluded_folders)
        source, reference = calibration.compute_moments(pending, lambda f, t: [f(task) for task in t], NullProgress())
        assert [sum(block.images for block in side) for side in (source, reference)] == [images, images]
        transport = fit_and_store_map(job, opened.calibration, opened.models.autoencoder, source, reference)
        assert transport.info.wasserstein2 > 0
        assert transport.info.shrinkage_se == job.calibration_kind.default_shrinkage_se
        assert transport.info.calibration == job.calibration_kind
        assert transport.info.standard_error >= 0
        assert 0 <= transport.info.shrinkage_factor <= 1
        assert 1 < transport.info.effective_images <= images


def test_a_mixture_is_fitted_from_levels_that_go_on_where_they_stopped(make_job, tmp_path):
    """In any order of completion to the bit, and with the moments of a single map beside the levels."""
    maps = []
    for place in ("a", "b"):
        opened = open_run(make_job(run=str(tmp_path / place), transport={"mixture_components": 3}), HOW)
        job, paths = opened.job, opened.calibration
        pending = calibration.make_moments_tasks(job, paths, True, opened.excluded_folders)
        for task in pending[:2]:
            compute_shard_moments(task)
        done = []

        def backwards(function, tasks, done=done):
            done.extend(task.shard.number for task in tasks)
            return [function(task) for task in reversed(tasks)]

        source, reference = calibration.compute_moments(pending, backwards, NullProgress())
        assert done == [2, 3, 4, 5]
        binned = calibration.read_map_statistics(pending)
        assert [side.images for side in binned] == [6, 6]
        shard = BinnedMoments.from_bytes(read(paths.map_statistics(Side.SOURCE, 0)))
        assert Moments.from_bytes(read(paths.moments(Side.SOURCE, 0))).to_bytes() == shard.moments().to_bytes()
        maps.append(fit_and_store_map(job, paths, opened.models.autoencoder, source, reference, binned))
    assert maps[0].to_bytes() == maps[1].to_bytes() == read(paths.map())
    assert (maps[0].info.kind, len(maps[0].parameters["matrix"])) == ("mixture:components=3", 3)


def test_calibration_without_one_usable_photo_is_an_error(make_job, tmp_path):
    job = make_job()
    for path in (tmp_path / "natural").rglob("*.png"):
        path.write_bytes(b"no photo")
    opened = open_run(job, HOW)
    pending = calibration.make_moments_tasks(job, opened.calibration, True, opened.excluded_folders)
    with pytest.raises(NothingFoundError, match="not one photo of the source side"):
        calibration.compute_moments(pending, lambda f, t: [f(task) for task in t], NullProgress())


def test_a_whole_run_and_a_second_one_that_finds_nothing_to_do(make_job, tmp_path, ray_session, monkeypatch):
    """With what Prometheus and log files are told of the third."""
    job = make_job()
    result = run_job(job, HOW)
    assert (result.inputs, result.ok, result.done_now, result.complete) == (6, 6, 6, True)
    run = RunPaths(result.run)
    manifest = read_manifest(run)
    assert manifest.schema.names == MANIFEST_SCHEMA.names
    for row in manifest.to_pylist():
        assert row["status"] == "ok"
        assert row["output_uri"] == str(tmp_path / "enhanced" / row["file_name"])
        assert row["transport_mse"] > 0
        before, after = (np.asarray(Image.open(row[key])) for key in ("input_uri", "output_uri"))
        assert before.shape == after.shape
        assert (before != after).any()
    assert verify_run(run, NullProgress()) == VerificationReport(6, (), 6)
    assert "photo 01.png" in read(run.report).decode()
    again = run_job(job, HOW)
    assert (again.ok, again.done_now) == (6, 0)

    write_photos(tmp_path / "restored", 8)
    (tmp_path / "restored" / "photo 07.png").write_bytes(b"broken")
    seen = Exported()
    monkeypatch.setenv(logs.LOG_FORMAT_ENV, "json")
    more = run_job(job, RunOptions(allow_code=True, progress=seen))
    assert more.inputs - 6 == more.done_now > 0, "rewritten and new photos are new inputs"
    assert more.codes == {"not_an_image": 1}
    about = {"run": run.uri.rpartition("/")[2], "name": "deepot"}
    assert seen.value("images_total", **about, status="failed") == 1
    assert seen.value("images_total", **about, status="ok") > 0
    assert seen.value("failures_total", **about, code="not_an_image") == 1
    assert seen.value("megapixels_total", **about) > 0
    assert seen.value("phase_seconds_total", **about, phase="encode") > 0
    assert seen.value("busy_seconds_total", **about, device="cpu") > 0
    assert (seen.value("images_left", **about), seen.value("workers", **about) >= 1) == (0, True)
    (line,) = worker_lines()
    assert (line["run"], line["stage"], line["code"]) == (run.uri, "apply", "not_an_image")
    assert line["photo"] == str(tmp_path / "restored" / "photo 07.png") and "shard" in line
    (tmp_path / "enhanced" / "photo 01.png").unlink()
    assert {finding.problem for finding in verify_run(run, NullProgress()).findings} >= {Problem.MISSING}


def test_a_run_with_a_mixture(make_job, tmp_path, in_process):
    result = run_job(make_job(transport={"mixture_components": 3}), HOW)
    assert (result.ok, result.complete) == (6, True)
    transport = TransportMap.from_bytes(read(calibration_of_run(RunPaths(result.run)).map()))
    assert transport.info.kind == "mixture:components=3"
    assert "<th>components</th><td>3</td>" in read(RunPaths(result.run).report).decode()
    codec = deepot.load_autoencoder(
        "tests.support.fake_autoencoders:shuffle", dtype=torch.float32, device="cpu", allow_code=True
    )
    for row in read_manifest(RunPaths(result.run)).to_pylist():
        expected = deepot.Enhancer(codec, transport)(Image.open(row["input_uri"]))
        np.testing.assert_array_equal(np.asarray(Image.open(row["output_uri"])), np.asarray(expected))


def test_workers_do_not_change_the_map_or_the_photos(make_job, tmp_path, ray_session):
    seen = set()
    for actors in (1, 2, 4):
        compute = {"images_per_shard": 1, "dtype": "float32", "workers": actors}
        job = make_job(
            compute=compute, output={"uri": str(tmp_path / f"out-{actors}")}, run=str(tmp_path / f"run-{actors}")
        )
        result = run_job(job, HOW)
        photos = [entry.key + str(read(entry.uri)) for entry in list_images(str(tmp_path / f"out-{actors}"))]
        seen.add((read(calibration_of_run(RunPaths(result.run)).map()), tuple(photos)))
        assert len(photos) == 6
    assert len(seen) == 1


def test_an_image_that_kills_its_worker_costs_one_row(make_job, tmp_path, ray_session):
    job = make_job(
        autoencoder="tests.support.fake_autoencoders:crashing",
        compute={"images_per_shard": 3, "dtype": "float32", "workers": 2},
    )
    Image.new("RGB", (48, 36), (9, 9, 9)).save(tmp_path / "restored" / "poison.png")
    result = run_job(job, HOW)
    rows = {row["file_name"]: row["error_code"] for row in read_manifest(RunPaths(result.run)).to_pylist()}
    assert {key for key, code in rows.items() if code} == {"poison.png"}
    assert (len(rows), rows["poison.png"], result.ok) == (7, "worker_died", 6)


def test_a_calibration_photo_that_kills_its_worker_is_left_out(make_job, tmp_path, ray_session, monkeypatch, caplog):
    """Each death takes seconds, so that here the first one is enough; on a cluster it is in `make soak`."""
    monkeypatch.setattr(module, "_MAX_WORKER_DEATHS", 1)
    job = make_job(
        images=2, autoencoder="tests.support.fake_autoencoders:crashing", compute={"dtype": "float32", "workers": 1}
    )
    for path in sorted((tmp_path / "natural").rglob("*.png"))[2:]:
        path.unlink()
    Image.new("RGB", (48, 36), (9, 9, 9)).save(tmp_path / "natural" / "poison.png")
    result = run_job(job, HOW)
    assert (result.ok, result.complete) == (2, True)
    assert f"not used for calibration: {tmp_path}/natural/poison.png (worker_died" in caplog.text


@pytest.mark.parametrize(
    ("codec", "code"),
    [
        ("hanging", "timed_out"),
        ("out_of_memory", "out_of_memory"),
        pytest.param("unplugged", "worker_died", marks=pytest.mark.soak),
    ],
)
def test_an_image_that_hangs_or_takes_what_all_need_costs_one_row(make_job, tmp_path, ray_session, codec, code):
    compute = {"images_per_shard": 4, "dtype": "float32", "workers": 1}
    job = make_job(
        images=4, autoencoder=f"tests.support.fake_autoencoders:{codec}", compute=compute, limits={"image_timeout_s": 2}
    )
    Image.new("RGB", (48, 36), (9, 9, 9)).save(tmp_path / "restored" / "poison.png")
    result = run_job(job, HOW)
    rows = {row["file_name"]: row["error_code"] for row in read_manifest(RunPaths(result.run)).to_pylist()}
    assert {key: code for key, code in rows.items() if code} == {"poison.png": code}
    assert (len(rows), result.ok) == (5, 4)


def test_other_settings_do_not_write_over_photos(make_job, tmp_path, in_process):
    run_job(make_job(), HOW)
    with pytest.raises(RunError, match=r"--overwrite"):
        run_job(make_job(transport={"alpha": 0.5}), HOW)
    assert run_job(make_job(transport={"alpha": 0.5}), RunOptions(allow_code=True, overwrite=True)).ok == 6
    by_map = make_job(output={"uri": str(tmp_path / "by" / "{map}")})
    transport = fit_job(opened := open_run(by_map, HOW)).transport
    plan_job(opened)
    apply_job(opened)
    assert len(list(list_images(str(tmp_path / "by" / transport.sha256[:16])))) == 6


def test_apply_with_a_given_map(make_job, tmp_path, in_process):
    first = run_job(make_job(), HOW)
    job = make_job(
        map=calibration_of_run(RunPaths(first.run)).map(), calibration=None, output={"uri": str(tmp_path / "second")}
    )
    second = run_job(job, HOW)
    assert second.ok == 6
    assert {read(entry.uri) for entry in list_images(str(tmp_path / "second"))} == {
        read(entry.uri) for entry in list_images(str(tmp_path / "enhanced")) if not entry.key.startswith("_")
    }
    assert summarize_run(RunPaths(second.run)).ok == 6
    assert len(list(iter_commits(RunPaths(second.run)))) == 3


def test_slots_divide_what_there_is(ray_session):
    from pipeline.cluster.actor_pool import plan_cluster_workers
    from pipeline.config.job import Compute

    assert plan_cluster_workers(Compute()).count == 4
    assert plan_cluster_workers(Compute(threads=2)).count == 2
    each = plan_cluster_workers(Compute(actors=8))
    assert each.count * each.cpus <= 4


def test_apply_keeps_no_more_workers_than_it_has_work_for(make_job, ray_session, tmp_path):
    crew = module.RayWorkerPool(make_job(compute={"dtype": "float32"}), allow_code=True)
    assert sorted(crew.map_unordered(abs, [-1, -2, -3])) == [1, 2, 3]
    assert len(crew.actor_pool) == 3
    crew.configure(SimpleNamespace(run=RunPaths(str(tmp_path)), job=SimpleNamespace(name="few")), 1)
    assert len(crew.actor_pool) == 1
    assert list(crew.map_unordered(abs, [-4])) == [4]
    crew.close()


@pytest.mark.soak
def test_an_item_whose_workers_die_is_given_up_in_the_end(make_job, ray_session, monkeypatch):
    """Where Ray ended them for memory, too: its own retries would not end."""
    monkeypatch.setattr(module, "_MAX_WORKER_DEATHS", 2)

    def task(name):
        import os

        from ray.exceptions import OutOfMemoryError

        if name == "crashes":
            os._exit(9)
        if name == "starves":
            raise OutOfMemoryError("killed")
        return name

    crew = module.RayWorkerPool(make_job(compute={"workers": 1, "dtype": "float32"}), allow_code=True)
    done = crew.map_unordered(task, ["fine", "crashes", "starves"], on_worker_death=lambda name: f"{name}: dead")
    assert sorted(done) == ["crashes: dead", "fine", "starves: dead"]
    with pytest.raises(PipelineError, match="died 2 times over the same work"):
        list(crew.map_unordered(task, ["starves"]))
    crew.close()
