"""Runs over collections of which a part needs nothing: these photos keep every sample, the others are transported."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepot.transport import TransportMap
from jobs.console import print_summary
from pipeline.calibration import load_map_of_run
from pipeline.imageio import decode
from pipeline.review import sample_by_risk
from pipeline.runs import RunPaths
from tests.support.in_process_pool import run_and_read_rows, run_in_process
from tests.support.synthetic_photos import degrade, make_dead_leaves

NOISE, BLUR = "noise:sigma=25", "blur:sigma=1.5"
N_CALIBRATION, N_CLEAN = 12, 4
MAX_PIXELS = 10**9


def make_leaves(seed):
    return make_dead_leaves(seed, 96, 64, 120)


@pytest.fixture
def make_mixed_job(make_job, tmp_path):
    """Makes jobs over four clean photos and four degraded ones."""

    def build(degradation, suffix=".png", **changes):
        natural, photos = tmp_path / "leaves", tmp_path / "mixed"
        natural.mkdir(exist_ok=True)
        photos.mkdir(exist_ok=True)
        for seed in range(N_CALIBRATION):
            make_leaves(seed).save(natural / f"{seed:02d}.png")
        exif = Image.Exif()
        exif[0x010F] = "a camera"
        for seed in range(100, 100 + N_CLEAN):
            make_leaves(seed).save(photos / f"clean-{seed}{suffix}", exif=exif)
            degrade(make_leaves(seed + 50), degradation).save(photos / f"degraded-{seed}{suffix}", exif=exif)
        settings = {
            "input": str(photos),
            "output": str(tmp_path / "enhanced"),
            "calibration": {"reference": str(natural), "degradation": degradation},
            "autoencoder": "tests.support.fake_autoencoders:shuffle",
        }
        return make_job(**settings | changes)

    return build


def read_path(row, key):
    return Path(row[key].removeprefix("file://")).read_bytes()


@pytest.mark.parametrize(("degradation", "restorer"), [(BLUR, "identity"), (NOISE, "median:size=3")])
def test_clean_photos_keep_their_bytes(make_mixed_job, degradation, restorer):
    run, rows = run_and_read_rows(make_mixed_job(degradation, restorer=restorer))
    for name, row in rows.items():
        is_clean = name.startswith("clean")
        assert row["untouched"] is is_clean, name
        assert (read_path(row, "output_uri") == read_path(row, "input_uri")) is is_clean
        assert (row["alpha"] is None, row["marks"] == "none", row["transport_mse"] is None) == (is_clean,) * 3
        assert (row["invented"] == 0) is is_clean
    assert sum(row["untouched"] for row in rows.values()) == N_CLEAN
    state = "restored" if restorer == "identity" else "degraded"
    assert load_map_of_run(run).natural_tests[state].natural_share > 0.8


def test_counts_and_reviews_leave_untouched_photos_out(make_mixed_job):
    summary = run_in_process(make_mixed_job(BLUR))
    assert (summary.ok, summary.untouched, summary.counts["untouched"]) == (2 * N_CLEAN, N_CLEAN, N_CLEAN)
    assert summary.outcomes.startswith(f"{2 * N_CLEAN} ok ({N_CLEAN} untouched), ")
    sample = sample_by_risk(RunPaths(summary.run), 100, has_restorer=False)
    assert sum(stratum.photos for stratum in sample.strata) == N_CLEAN
    page = RunPaths(summary.run).report.removeprefix("file://")
    assert f"<b>{N_CLEAN}</b>untouched" in Path(page).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "output", [{"format": "tiff"}, {"metadata": "strip"}, {"format": "png", "metadata": "strip-gps"}]
)
def test_untouched_photos_are_coded_again_only_where_the_job_wants_another_file(make_mixed_job, tmp_path, output):
    _, rows = run_and_read_rows(make_mixed_job(BLUR, output={"uri": str(tmp_path / "enhanced"), **output}))
    untouched = [row for row in rows.values() if row["untouched"]]
    assert len(untouched) == N_CLEAN
    for row in untouched:
        before, after = (decode(read_path(row, key), MAX_PIXELS) for key in ("input_uri", "output_uri"))
        np.testing.assert_array_equal(after.pixels.samples, before.pixels.samples)
        assert output.get("format") == "tiff" or after.properties["has_exif"] is (output["metadata"] != "strip")
        assert row["marks"] == "none"


def test_photos_are_left_as_they_are_only_if_every_page_looks_natural(make_mixed_job, tmp_path):
    job = make_mixed_job(BLUR, transport={"patch_size": 1})
    pages = [make_leaves(300), degrade(make_leaves(301), BLUR)]
    for name, first, second in (("both", 0, 0), ("one", 0, 1), ("neither", 1, 1)):
        pages[first].save(tmp_path / "mixed" / f"{name}.tif", save_all=True, append_images=[pages[second]])
    _, rows = run_and_read_rows(job)
    assert [rows[f"{name}.tif"]["untouched"] for name in ("both", "one", "neither")] == [True, False, False]


def test_switched_off_or_with_a_restorer_that_enlarges_all_photos_are_transported(make_mixed_job, tmp_path):
    _, rows = run_and_read_rows(make_mixed_job(BLUR, transport={"leave_natural": "off"}))
    assert not any(row["untouched"] for row in rows.values())
    enlarged = make_mixed_job("downscale:factor=2", restorer="resize:factor=2", output=str(tmp_path / "enlarged"))
    run, rows = run_and_read_rows(enlarged)
    assert not any(row["untouched"] for row in rows.values())
    assert load_map_of_run(run).natural_tests.keys() == {"restored"}


def test_unpaired_sets_show_the_difference_too(make_mixed_job, tmp_path):
    restored = tmp_path / "restored"
    restored.mkdir()
    for seed in range(N_CALIBRATION):
        degrade(make_leaves(seed + 400), BLUR).save(restored / f"{seed}.png")
    calibration = {"reference": str(tmp_path / "leaves"), "restored": str(restored)}
    _, rows = run_and_read_rows(make_mixed_job(BLUR, calibration=calibration))
    assert all(row["untouched"] is name.startswith("clean") for name, row in rows.items())


def test_self_calibrations_and_few_photos_leave_nothing_out(make_mixed_job, tmp_path):
    few = {"reference": str(tmp_path / "leaves"), "degradation": BLUR, "limit": 8}
    for calibration in ({"degradation": BLUR}, few):
        output = str(tmp_path / calibration.get("reference", "self").rpartition("/")[2]) + "-enhanced"
        run, rows = run_and_read_rows(make_mixed_job(BLUR, calibration=calibration, output=output))
        assert load_map_of_run(run).natural_tests == {}
        assert not any(row["untouched"] for row in rows.values())


def test_a_map_file_takes_its_test_along(make_mixed_job, tmp_path):
    run, rows = run_and_read_rows(make_mixed_job(BLUR))
    transport = load_map_of_run(run)
    path = tmp_path / "map.safetensors"
    transport.save(path)
    assert TransportMap.load(path).sha256 == transport.sha256
    _, again = run_and_read_rows(make_mixed_job(BLUR, map=str(path), calibration=None, output=str(tmp_path / "again")))
    assert {name: row["untouched"] for name, row in again.items()} == {
        name: row["untouched"] for name, row in rows.items()
    }


def test_the_command_points_out_that_most_photos_were_left_as_they_are(make_mixed_job, tmp_path, capsys):
    job = make_mixed_job(BLUR)
    for path in (tmp_path / "mixed").glob("degraded-10[0-2]*"):
        path.unlink()
    summary = run_in_process(job)
    assert print_summary(summary, as_json=False, max_error_rate=0) == 0
    assert f"natural  {N_CLEAN} of {N_CLEAN + 1} photos look natural already" in capsys.readouterr().out
    print_summary(replace(summary, untouched=2), as_json=False, max_error_rate=0)
    assert "look natural already" not in capsys.readouterr().out
