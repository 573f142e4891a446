"""The same job on another day: new calibration photos join the moments, drift is measured, and maps are numbered."""

import time

import pytest
import torch

from deepot.transport import TransportMap
from pipeline.calibration import Side, calibration_of_run, list_run_maps, read_drift_records, shard_photos, tasks
from pipeline.calibration.stored_moments import read_merged_moments
from pipeline.errors import ConfigError, NothingFoundError
from pipeline.maintenance import find_orphans
from pipeline.runs import RunPaths, read_manifest
from pipeline.stages import RunOptions, driver
from pipeline.storage import delete, read, sha256_hex
from tests.support.in_process_pool import run_in_process
from tests.support.photos import make_photo
from tests.support.selections import select_rows


def add_natural(folder, *seeds, noise=20.0):
    for seed in seeds:
        make_photo(seed, noise=noise).save(folder / "natural" / f"late {seed:03d}.png")


@pytest.fixture
def reads(monkeypatch):
    """The keys of the calibration photos that are read, in order."""
    found, real = [], shard_photos.read_input
    monkeypatch.setattr(
        shard_photos, "read_input", lambda entry, *options: found.append(entry.key) or real(entry, *options)
    )
    return found


@pytest.fixture
def rerun(make_job, tmp_path):
    """Runs the same job once more, with the given settings of the transport."""

    def run(reapply=False, **transport):
        job = make_job(output={"uri": str(tmp_path / "out" / "{map}")}, transport=transport)
        return run_in_process(job, RunOptions(allow_code=True, reapply_latest_map=reapply))

    return run


def test_rerun_with_new_calibration_photos_reads_only_those_and_measures_the_drift(rerun, reads, tmp_path):
    first = rerun()
    assert len(reads) == 3 * len(set(reads)) == 18, "for the tone curve, the moments and the change"
    assert first.drift == first.drift | {"images": 6, "new_images": 0, "relative_drift": 0.0, "refitted": False}
    run = RunPaths(first.run)
    reads.clear()
    assert rerun().drift == first.drift
    add_natural(tmp_path, 100, 101)
    second = rerun()
    assert sorted(reads) == ["late 100.png", "late 101.png"]
    old, new, everything = (
        read_merged_moments(calibration_of_run(run), Side.SOURCE, numbers)
        for numbers in (range(6), range(6, 8), range(8))
    )
    assert (old.images, new.images) == (6, 2)
    torch.testing.assert_close(old.merge(new).scatter, everything.scatter, rtol=1e-12, atol=0)
    assert (second.drift["images"], second.drift["new_images"]) == (6, 2)
    assert 0 < second.drift["merged_distance"] < second.drift["new_distance"]
    beyond = max(0.0, second.drift["merged_distance"] ** 2 - second.drift["expected_by_chance"] ** 2) ** 0.5
    assert second.drift["relative_drift"] == pytest.approx(beyond / second.drift["map_distance"])
    assert second.drift["expected_by_chance"] > 0
    assert len(list_run_maps(calibration_of_run(run))) == 1, "no refit unless the job asks for it"
    reads.clear()
    assert rerun().drift == second.drift, "every run reports it until a map is fitted"
    assert reads == []
    (noticed,) = read_drift_records(calibration_of_run(run))
    assert noticed == noticed | second.drift
    assert "<h3>Drift</h3>" in read(run.report).decode()


def test_rerun_with_drift_beyond_the_limit_fits_another_map_beside_the_first(rerun, tmp_path):
    settings = {"refit": "drift", "drift_limit": 0.2}
    first = rerun(**settings)
    run = RunPaths(first.run)
    add_natural(tmp_path, 100)
    make_photo(100).save(tmp_path / "restored" / "late.png")
    same = rerun(**settings)
    assert same.drift["relative_drift"] < 0.2
    assert (same.drift["refitted"], len(list_run_maps(calibration_of_run(run)))) == (False, 1)
    add_natural(tmp_path, *range(200, 206), noise=90.0)
    make_photo(7).save(tmp_path / "restored" / "later.png")
    make_photo(8).save(tmp_path / "restored" / "photo 01.png")
    other = rerun(**settings)
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
    assert rerun(**settings).drift["new_images"] == 0, "drift is measured from the new map"
    assert list(find_orphans(run, time.time() + 9)) == [], "results of older maps are results"
    stray = tmp_path / "out" / one.sha256[:16] / "later.png"
    stray.write_bytes(b"by hand")
    assert list(find_orphans(run, time.time() + 9)) == [], "no manifest file names it"


def test_rerun_with_refit_always_fits_a_map_whenever_there_are_new_photos(rerun, tmp_path):
    run = RunPaths(rerun(refit="always").run)
    assert rerun(refit="always").drift["refitted"] is False
    add_natural(tmp_path, 100)
    assert rerun().drift["refitted"] is False
    assert [record["refitted"] for record in read_drift_records(calibration_of_run(run))] == [False]
    assert rerun(refit="always").drift["refitted"] is True
    assert [record["refitted"] for record in read_drift_records(calibration_of_run(run))] == [True], (
        "the refit was asked for later"
    )
    (tmp_path / "natural" / "late 101.png").write_bytes(b"not a photo")
    assert rerun(refit="always").drift["refitted"] is False, "a photo that cannot be used gives no other map"
    assert len(list_run_maps(calibration_of_run(run))) == 2


def test_reapply_latest_map_processes_the_results_of_earlier_maps_rerun(rerun, tmp_path):
    run = RunPaths(rerun(refit="always").run)
    add_natural(tmp_path, 100, 101)
    (tmp_path / "restored" / "photo 02.png").unlink()
    assert rerun(refit="always").done_now == 0
    one, two = (TransportMap.from_bytes(read(uri)).sha256 for uri in list_run_maps(calibration_of_run(run)))
    result = rerun(reapply=True)
    assert (result.done_now, result.inputs, result.missing, result.complete) == (5, 11, 1, True)
    assert rerun(reapply=True).done_now == rerun().done_now == 0
    assert {row["map_sha256"] for row in select_rows(run, "file_name NOT IN (FROM missing)").to_pylist()} == {two}
    old, new = (select_rows(run, map_sha256=sha[:12]).to_pylist() for sha in (one, two))
    assert ([row["map_sha256"] for row in old], [row["map_sha256"] for row in new]) == ([one] * 6, [two] * 5)
    for row in old + new:
        assert sha256_hex(read(row["output_uri"])) == row["output_sha256"], "results of both maps are kept"
    delete(run.commit(max(row["shard"] for row in new)))
    assert rerun().done_now > 0, "a reapplication that was begun is resumed without the flag"


def test_rerun_of_an_unpaired_calibration_adds_photos_to_each_side(make_job, tmp_path):
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
        read_merged_moments(calibration_of_run(run), side, range(5)).images for side in (Side.SOURCE, Side.REFERENCE)
    ] == [5, 5]


def test_rerun_of_a_self_calibration_lists_the_input_once(make_job, tmp_path, reads, monkeypatch):
    listed = []
    for module in (driver, tasks):
        real = module.find_images
        monkeypatch.setattr(module, "find_images", lambda uri, *rest, real=real: listed.append(uri) or real(uri, *rest))
    job = make_job(calibration={"degradation": "blur:sigma=1", "limit": 100})
    assert run_in_process(job).drift["images"] == 6
    assert len(reads) == 3 * 6, "for the tone curve, the moments and the gains"
    reads.clear()
    for seed in range(6):
        make_photo(seed).save(tmp_path / "restored" / f"late {seed}.png")
    found = run_in_process(job)
    assert found.drift["new_images"] == len(reads) == 6
    assert listed == [str(tmp_path / "restored")] * 2


def test_refit_drift_of_a_paired_calibration_warns_that_new_input_is_unused(rerun, make_job, tmp_path, caplog):
    for policy in ("never", "always", "drift"):
        rerun(refit=policy)
        assert caplog.text.count("never new input") == (policy == "drift")
    caplog.clear()
    output = {"uri": str(tmp_path / "self" / "{map}")}
    run_in_process(make_job(calibration={"degradation": "blur:sigma=1"}, output=output, transport={"refit": "drift"}))
    assert "new input" not in caplog.text


def test_rerun_without_calibration_photos_fails_only_if_the_job_refits(rerun, tmp_path, caplog):
    first = rerun()
    for path in (tmp_path / "natural").rglob("*.png"):
        path.unlink()
    assert rerun().drift == first.drift
    assert "its drift cannot be measured" in caplog.text
    with pytest.raises(NothingFoundError, match="no images found"):
        rerun(refit="drift")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transport": {"refit": "always"}}, r"put \{map\} into output.uri"),
        ({"transport": {"refit": "drift"}, "map": "m", "output": {"uri": "out/{map}"}}, "the job names a map"),
        ({"transport": {"refit": "now"}}, "transport.refit"),
        ({"transport": {"drift_limit": 0}}, "transport.drift_limit"),
    ],
)
def test_job_with_refits_that_would_mix_results_is_refused(make_job, changes, message):
    with pytest.raises(Exception, match=message) as caught:
        make_job(**changes)
    assert caught.type is ConfigError
