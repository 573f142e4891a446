"""The same job on another day: new calibration photos join the moments, drift is told, and maps are numbered."""

import time

import pytest
import torch

from deepot.transport.transport_map import TransportMap
from pipeline.calibration import CalibrationPaths, calibration_of_run
from pipeline.calibration import moments as statistics
from pipeline.calibration import photo_lists as calibration
from pipeline.calibration.drift import read_drift_records
from pipeline.calibration.maps import list_run_maps
from pipeline.calibration.moments import REFERENCE_SIDE, SOURCE_SIDE, read_merged_moments
from pipeline.calibration.photo_lists import append_photos, iter_photo_shards
from pipeline.curation.query import select_rows
from pipeline.errors import ConfigError, NothingFoundError
from pipeline.maintenance.orphans import find_orphans
from pipeline.runs.manifest import read_manifest
from pipeline.runs.paths import RunPaths
from pipeline.sources.sampling import sample_by_hash
from pipeline.stages import driver as run_module
from pipeline.stages.driver import RunOptions
from pipeline.storage.folders import list_names
from pipeline.storage.objects import Entry, create_if_absent, delete, read, sha256_hex
from tests.support.in_process_pool import run_in_process
from tests.support.photos import make_photo


def entries(keys, size=1):
    return [Entry(f"u/{key}", key, size, "", 0.0) for key in sorted(keys)]


def keys(paths):
    return [[entry.key for entry in shard.entries] for shard in iter_photo_shards(paths, "both")]


def add_natural(folder, *seeds, noise=20.0):
    for seed in seeds:
        make_photo(seed, noise=noise).save(folder / "natural" / f"late {seed:03d}.png")


@pytest.fixture
def reads(monkeypatch):
    """Every calibration photo that is read, in turn."""
    found, real = [], statistics.read_input
    monkeypatch.setattr(statistics, "read_input", lambda entry, limits: found.append(entry.key) or real(entry, limits))
    return found


@pytest.fixture
def again(make_job, tmp_path):
    """Runs the job of a folder once more, with other settings of the map if need be."""

    def run(redo=False, **transport):
        job = make_job(output={"uri": str(tmp_path / "out" / "{map}")}, transport=transport)
        return run_in_process(job, RunOptions(allow_code=True, reapply_latest_map=redo))

    return run


def test_lists_are_only_added_to(storage_folder):
    paths = CalibrationPaths(storage_folder)
    append_photos(paths, "both", sample_by_hash(entries("abc"), 10))
    first = read(paths.photo_list("both", 1))
    append_photos(paths, "both", sample_by_hash(entries("abc"), 10))
    assert keys(paths) == [["a"], ["b"], ["c"]]
    append_photos(paths, "both", sample_by_hash(entries("bcde"), 10))
    assert keys(paths) == [["a"], ["b"], ["c"], ["d"], ["e"]], "what is missing still counts"
    assert [shard.number for shard in iter_photo_shards(paths, "both")] == [0, 1, 2, 3, 4]
    append_photos(paths, "both", sample_by_hash([*entries("b", size=2), *entries("cde")], 10))
    assert keys(paths)[5:] == [["b"]], "what has changed is another photo"
    assert read(paths.photo_list("both", 1)) == first
    assert list_names(f"{storage_folder}/moments") == {"both-0001.parquet", "both-0002.parquet", "both-0003.parquet"}


def test_the_limit_holds_for_each_listing(tmp_path):
    paths, all_keys = CalibrationPaths(str(tmp_path)), [f"{number:04d}" for number in range(2000)]
    append_photos(paths, "both", sample_by_hash(entries(all_keys[:1000]), 100))
    append_photos(paths, "both", sample_by_hash(entries(all_keys), 100))
    found = [key for shard in keys(paths) for key in shard]
    assert len(set(found)) == len(found)
    assert 130 < len(found) < 170, "twice the photos, half of the limit more"


def test_of_two_drivers_the_list_of_one_counts(tmp_path, monkeypatch):
    run = RunPaths(str(tmp_path))

    def beaten(uri, data):
        enlist_other()
        return create_if_absent(uri, data)

    def enlist_other():
        with monkeypatch.context() as patch:
            patch.setattr(calibration, "create_if_absent", create_if_absent)
            append_photos(paths, "both", sample_by_hash(entries("xyz"), 10))

    monkeypatch.setattr(calibration, "create_if_absent", beaten)
    append_photos(paths, "both", sample_by_hash(entries("abc"), 10))
    assert keys(paths) == [["x"], ["y"], ["z"]]


def test_new_photos_are_read_once_and_their_moments_join_the_old(again, reads, tmp_path):
    first = again()
    assert len(reads) == len(set(reads)) == 6
    assert first.drift == first.drift | {"images": 6, "new_images": 0, "relative_drift": 0.0, "refitted": False}
    run = RunPaths(first.run)
    reads.clear()
    assert again().drift == first.drift
    add_natural(tmp_path, 100, 101)
    second = again()
    assert sorted(reads) == ["late 100.png", "late 101.png"]
    old, new, whole = (
        read_merged_moments(calibration_of_run(run), SOURCE_SIDE, numbers)
        for numbers in (range(6), range(6, 8), range(8))
    )
    assert (old.images, new.images) == (6, 2)
    torch.testing.assert_close(old.merge(new).scatter, whole.scatter, rtol=1e-12, atol=0)
    assert (second.drift["images"], second.drift["new_images"]) == (6, 2)
    assert 0 < second.drift["merged_distance"] < second.drift["new_distance"]
    beyond = max(0.0, second.drift["merged_distance"] ** 2 - second.drift["expected_by_chance"] ** 2) ** 0.5
    assert second.drift["relative_drift"] == pytest.approx(beyond / second.drift["map_distance"])
    assert second.drift["expected_by_chance"] > 0
    assert len(list_run_maps(calibration_of_run(run))) == 1, "never, unless the job says otherwise"
    reads.clear()
    assert again().drift == second.drift, "reported by every run, until a map is fitted from it"
    assert reads == []
    (noticed,) = read_drift_records(calibration_of_run(run))
    assert noticed == noticed | second.drift
    assert "<h2>Drift</h2>" in read(run.report).decode()


def test_a_drift_beyond_the_limit_gives_another_map_beside_the_first(again, tmp_path):
    settings = {"refit": "drift", "drift_limit": 0.2}
    first = again(**settings)
    run = RunPaths(first.run)
    add_natural(tmp_path, 100)
    make_photo(100).save(tmp_path / "restored" / "late.png")
    same = again(**settings)
    assert same.drift["relative_drift"] < 0.2
    assert (same.drift["refitted"], len(list_run_maps(calibration_of_run(run)))) == (False, 1)
    add_natural(tmp_path, *range(200, 206), noise=90.0)
    make_photo(7).save(tmp_path / "restored" / "later.png")
    make_photo(8).save(tmp_path / "restored" / "photo 01.png")
    other = again(**settings)
    assert other.drift["relative_drift"] > 0.2
    assert other.drift["refitted"]
    assert (other.run, other.done_now, other.complete) == (first.run, 2, True)

    one, two = (TransportMap.from_bytes(read(uri)) for uri in list_run_maps(calibration_of_run(run)))
    assert two.info.source_images == 13
    assert other.drift["map_sha256"] == one.sha256 != two.sha256
    rows = read_manifest(run).to_pylist()
    by_map = {
        each.sha256: {row["file_name"] for row in rows if row["map_sha256"] == each.sha256} for each in (one, two)
    }
    assert by_map[two.sha256] == {"later.png", "photo 01.png"}, "new and changed photos only"
    assert len(by_map[one.sha256]) == 7
    for row in rows:
        assert row["output_uri"] == str(tmp_path / "out" / row["map_sha256"][:16] / row["file_name"])
    latest = {row["file_name"]: row["map_sha256"] for row in select_rows(run).to_pylist()}
    assert len(latest) == 8
    assert latest["photo 01.png"] == two.sha256
    assert [record["refitted"] for record in read_drift_records(calibration_of_run(run))] == [False, True]
    assert again(**settings).drift["new_images"] == 0, "measured from the new map on"
    assert list(find_orphans(run, time.time() + 9)) == [], "results of older maps are results"
    stray = tmp_path / "out" / one.sha256[:16] / "later.png"
    stray.write_bytes(b"left behind")
    assert [orphan.entry.uri for orphan in find_orphans(run, time.time() + 9)] == [str(stray)]


def test_always_fits_again_whenever_there_is_something_new(again, tmp_path):
    run = RunPaths(again(refit="always").run)
    assert again(refit="always").drift["refitted"] is False
    add_natural(tmp_path, 100)
    assert again().drift["refitted"] is False
    assert [record["refitted"] for record in read_drift_records(calibration_of_run(run))] == [False]
    assert again(refit="always").drift["refitted"] is True
    assert [record["refitted"] for record in read_drift_records(calibration_of_run(run))] == [True], "asked for later"
    (tmp_path / "natural" / "late 101.png").write_bytes(b"no photo")
    assert again(refit="always").drift["refitted"] is False, "a photo that cannot be used gives no other map"
    assert len(list_run_maps(calibration_of_run(run))) == 2


def test_what_earlier_maps_did_is_done_again_only_when_asked(again, tmp_path):
    run = RunPaths(again(refit="always").run)
    add_natural(tmp_path, 100, 101)
    (tmp_path / "restored" / "photo 02.png").unlink()
    assert again(refit="always").done_now == 0
    one, two = (TransportMap.from_bytes(read(uri)).sha256 for uri in list_run_maps(calibration_of_run(run)))
    result = again(redo=True)
    assert (result.done_now, result.inputs, result.missing, result.complete) == (5, 11, 1, True)
    assert again(redo=True).done_now == again().done_now == 0
    assert {row["map_sha256"] for row in select_rows(run, "file_name NOT IN (FROM missing)").to_pylist()} == {two}
    old, new = (select_rows(run, map_sha256=sha[:12]).to_pylist() for sha in (one, two))
    assert ([row["map_sha256"] for row in old], [row["map_sha256"] for row in new]) == ([one] * 6, [two] * 5)
    for row in old + new:
        assert sha256_hex(read(row["output_uri"])) == row["output_sha256"], "side by side"
    delete(run.commit(max(row["shard"] for row in new)))
    assert again().done_now > 0, "what was begun is done without asking again"


def test_unpaired_sides_grow_apart(make_job, tmp_path):
    folders = {"calibration": {"reference": str(tmp_path / "natural"), "restored": str(tmp_path / "other")}}
    (tmp_path / "other").mkdir()
    for seed in range(4):
        make_photo(seed, noise=5.0).save(tmp_path / "other" / f"{seed}.png")
    job = make_job(output={"uri": str(tmp_path / "out" / "{map}")}, transport={"refit": "always"}, **folders)
    run = RunPaths(run_in_process(job).run)
    make_photo(9, noise=5.0).save(tmp_path / "other" / "9.png")
    found = run_in_process(job)
    assert (found.drift["new_images"], found.drift["refitted"]) == (1, True)
    add_natural(tmp_path, 100)
    found = run_in_process(job)
    assert (found.drift["new_images"], found.drift["merged_distance"], found.drift["refitted"]) == (0, 0.0, True)
    assert [
        read_merged_moments(calibration_of_run(run), side, range(5)).images for side in (SOURCE_SIDE, REFERENCE_SIDE)
    ] == [5, 5]


def test_input_that_is_calibrated_from_is_listed_once(make_job, tmp_path, reads, monkeypatch):
    listed = []
    for module in (run_module, statistics):
        real = module.find_images
        monkeypatch.setattr(module, "find_images", lambda uri, *rest, real=real: listed.append(uri) or real(uri, *rest))
    job = make_job(calibration={"degradation": "blur:sigma=1", "limit": 100})
    assert run_in_process(job).drift["images"] == 6
    for seed in range(6):
        make_photo(seed).save(tmp_path / "restored" / f"late {seed}.png")
    found = run_in_process(job)
    assert found.drift["new_images"] == len(reads) - 6 == 6
    assert listed == [str(tmp_path / "restored")] * 2


def test_following_drift_where_new_input_cannot_move_it_is_told_once(again, make_job, tmp_path, caplog):
    for policy in ("never", "always", "drift"):
        again(refit=policy)
        assert caplog.text.count("new input never does") == (policy == "drift")
    caplog.clear()
    output = {"uri": str(tmp_path / "self" / "{map}")}
    run_in_process(make_job(calibration={"degradation": "blur:sigma=1"}, output=output, transport={"refit": "drift"}))
    assert "new input" not in caplog.text


def test_a_calibration_that_is_gone_stops_only_a_job_that_wants_refits(again, tmp_path, caplog):
    first = again()
    for path in (tmp_path / "natural").rglob("*.png"):
        path.unlink()
    assert again().drift == first.drift
    assert "no drift can be told" in caplog.text
    with pytest.raises(NothingFoundError, match="no images found"):
        again(refit="drift")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transport": {"refit": "always"}}, r"put \{map\} into output.uri"),
        ({"transport": {"refit": "drift"}, "map": "m", "output": {"uri": "out/{map}"}}, "the job names a map"),
        ({"transport": {"refit": "now"}}, "transport.refit"),
        ({"transport": {"drift_limit": 0}}, "transport.drift_limit"),
    ],
)
def test_what_would_mix_results_is_refused(make_job, changes, message):
    with pytest.raises(Exception, match=message) as caught:
        make_job(**changes)
    assert caught.type is ConfigError


def test_policies_are_not_of_the_fingerprint(make_job, tmp_path):
    output = {"uri": str(tmp_path / "{map}")}
    settings = [{}, {"refit": "drift"}, {"refit": "always", "drift_limit": 0.5}]
    assert len({make_job(output=output, transport=each).fingerprint({}) for each in settings}) == 1
