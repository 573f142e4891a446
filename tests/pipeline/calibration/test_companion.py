"""Jobs with the restorer's input as companion: what is measured, written and refused."""

import numpy as np
import pytest
from PIL import Image

from deepot.restoration import load_restorer
from deepot.transport import TransportMap
from pipeline import calibration
from pipeline.calibration.change import measure_map
from pipeline.calibration.maps import fit_and_store_map
from pipeline.config import parse_job
from pipeline.errors import ConfigError, RunError
from pipeline.imageio import decode
from pipeline.progress import NullProgress
from pipeline.runs import RunPaths, iter_manifest_tables
from pipeline.stages import RunOptions, open_run
from pipeline.storage import read
from tests.support.in_process_pool import run_in_process
from tests.support.photos import make_photo

NOISY, DOUBLE = "tests.support.fake_restorers:noisy", "tests.support.fake_restorers:noisy_double"
OPTIONS = RunOptions(allow_code=True)
MODELS = {"autoencoder": "a", "restorer": "b", "calibration_restorer": "c"}


def execute(function, tasks):
    return [function(task) for task in tasks]


@pytest.fixture
def make_companion_job(make_job):
    """Makes jobs with a noisy restorer, whose input is the companion of its results."""

    def make(alpha=2.0, companion="input", restorer=NOISY, **changes):
        return make_job(
            transport={"alpha": alpha, "companion": companion, "consistency": "off"}, restorer=restorer, **changes
        )

    return make


def rows_of(run):
    rows = [row for table in iter_manifest_tables(run) for row in table.to_pylist()]
    assert all(row["status"] == "ok" for row in rows), rows
    return rows


def expected_samples(data, restorer, weight):
    """What α = 2 makes of the pages of a photo."""
    restore = load_restorer(restorer, allow_code=True)
    for page in decode(data, 10**9).pages:
        restored = restore(page)
        companion = page.resize(restored.height, restored.width)
        restored.add_rgb_delta(0, weight * (companion.to_rgb() - restored.to_rgb()))
        yield restored.samples


@pytest.mark.parametrize("restorer", [NOISY, DOUBLE])
def test_alpha_two_mixes_results_with_the_restorers_input(make_companion_job, tmp_path, restorer):
    degradation = "blur:sigma=1" if restorer == NOISY else "downscale:factor=2"
    calibrated = {"reference": str(tmp_path / "natural"), "degradation": degradation}
    run = RunPaths(run_in_process(make_companion_job(restorer=restorer, calibration=calibrated)).run)
    weight = calibration.load_map_of_run(run).companion_weight
    assert 0 < weight <= 1
    for row in rows_of(run):
        assert (row["alpha"], row["companion_weight"]) == (2, weight)
        (expected,) = expected_samples(read(row["input_uri"]), restorer, weight)
        np.testing.assert_array_equal(decode(read(row["output_uri"]), 10**9).pixels.samples, expected)


def test_photos_of_every_mode_and_with_several_pages_are_mixed(make_companion_job, tmp_path):
    folder = tmp_path / "kinds"
    folder.mkdir()
    image = make_photo(1)
    image.convert("L").save(folder / "grey.png")
    image.convert("CMYK").save(folder / "cmyk.tif")
    Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(folder / "16.png")
    transparent = image.copy()
    transparent.putalpha(Image.linear_gradient("L").resize(image.size).point(lambda value: max(0, value - 99)))
    transparent.save(folder / "alpha.png")
    image.save(folder / "pages.tif", save_all=True, append_images=[make_photo(2), make_photo(3).convert("L")])
    run = RunPaths(run_in_process(make_companion_job(input={"images": str(folder)})).run)
    rows = rows_of(run)
    assert {row["file_name"]: row["pages"] for row in rows} == {
        **dict.fromkeys(("grey.png", "cmyk.tif", "16.png", "alpha.png"), 1), "pages.tif": 3
    }  # fmt: skip
    for row in rows:
        pages = decode(read(row["output_uri"]), 10**9).pages
        expected = [*expected_samples(read(row["input_uri"]), NOISY, row["companion_weight"])]
        for page, samples in zip(pages, expected, strict=True):
            np.testing.assert_array_equal(page.samples, samples, err_msg=row["file_name"])


def test_alpha_one_is_the_restored_photo_bit_for_bit(make_companion_job):
    run = RunPaths(run_in_process(make_companion_job(alpha=1)).run)
    for row in rows_of(run):
        (expected,) = expected_samples(read(row["input_uri"]), NOISY, 0.0)
        np.testing.assert_array_equal(decode(read(row["output_uri"]), 10**9).pixels.samples, expected)


def test_min_error_looks_at_the_scale_up_to_two_only_with_a_companion(make_companion_job, tmp_path):
    alphas = {}
    for companion in ("input", "none"):
        job = make_companion_job("min-error", companion, output=str(tmp_path / companion))
        rows = rows_of(RunPaths(run_in_process(job).run))
        (alphas[companion],) = {row["alpha"] for row in rows}
        assert all((row["companion_weight"] > 0) is (companion == "input") for row in rows)
    assert alphas["input"] == pytest.approx(2)
    assert alphas["none"] <= 1


def test_weight_is_the_same_in_any_order_and_after_a_stop(make_companion_job, tmp_path):
    models = []
    for place, done_before in (("a", 0), ("b", 1)):
        context = open_run(make_companion_job(run=str(tmp_path / place)), OPTIONS)
        tasks = calibration.make_moments_tasks(context.job, context.calibration, True, context.excluded_folders)
        sides = calibration.compute_moments(tasks, execute, NullProgress())
        fitted = fit_and_store_map(context.job, context.calibration, context.models.autoencoder, *sides)

        def stop(function, tasks, done_before=done_before):
            execute(function, tasks[:done_before])
            raise KeyboardInterrupt

        def execute_backwards(function, tasks):
            return execute(function, reversed(tasks))

        with pytest.raises(KeyboardInterrupt):
            measure_map(tasks, fitted, stop, NullProgress())
        models.append(measure_map(tasks, fitted, execute_backwards, NullProgress()).change)
    assert models[0] == models[1]
    assert models[0].companion.weight > 0


def test_companion_changes_the_fingerprints_of_the_map_and_of_the_results(make_companion_job):
    jobs = [make_companion_job(companion=companion) for companion in ("input", "none")]
    assert len({job.calibration_fingerprint(MODELS) for job in jobs}) == 2
    assert len({job.run_fingerprint(MODELS) for job in jobs}) == 2


def test_companion_without_a_restorer_is_refused(make_companion_job, tmp_path):
    with pytest.raises(ConfigError, match=r"companion is input, but restorer is identity, whose input is the restored"):
        make_companion_job(restorer="identity")
    calibrated = {"reference": str(tmp_path), "degradation": "blur:sigma=1", "restorer": "identity"}
    with pytest.raises(ConfigError, match=r"but calibration\.restorer is identity"):
        make_companion_job(calibration=calibrated)


@pytest.mark.parametrize("kind", ["self", "unpaired"])
def test_companion_without_clean_originals_is_refused(make_companion_job, tmp_path, kind):
    calibrations = {
        "self": {"degradation": "blur:sigma=1"},
        "unpaired": {"reference": str(tmp_path / "natural"), "restored": str(tmp_path / "restored")},
    }
    with pytest.raises(ConfigError, match=f"companion is input, which needs the error .* the calibration is {kind}"):
        make_companion_job(calibration=calibrations[kind])


def test_other_companions_are_refused(make_companion_job):
    with pytest.raises(ConfigError, match=r"transport\.companion"):
        make_companion_job(companion="bicubic")


def test_named_map_is_refused_if_it_has_no_companion_or_one_that_the_job_lacks(make_companion_job, tmp_path):
    maps = {}
    for companion in ("input", "none"):
        job = make_companion_job(alpha=0, companion=companion, output=str(tmp_path / companion))
        transport = calibration.load_map_of_run(RunPaths(run_in_process(job).run))
        transport.save(tmp_path / f"{companion}.safetensors")
        maps[companion] = {"map": str(tmp_path / f"{companion}.safetensors"), "calibration": None}
    output = tmp_path / "other"
    with pytest.raises(RunError, match=r"companion is input, but the map was fitted without companions"):
        run_in_process(make_companion_job(output=str(output), **maps["none"]))
    for alpha in (1.5, "min-error"):
        with pytest.raises(RunError, match=r"set transport\.companion to input, or give an alpha up to 1"):
            run_in_process(make_companion_job(alpha, "none", output=str(output), **maps["input"]))
    assert not output.exists()
    weight = TransportMap.load(tmp_path / "input.safetensors").companion_weight
    for companion, expected in (("input", weight), ("none", 0)):
        job = make_companion_job(0.5, companion, output=str(tmp_path / f"{companion} named"), **maps["input"])
        rows = rows_of(RunPaths(run_in_process(job).run))
        assert {row["companion_weight"] for row in rows} == {expected}


def test_job_file_round_trip_keeps_the_companion(make_companion_job):
    job = make_companion_job()
    assert parse_job(job.model_dump(mode="json")) == job


def test_report_names_the_weight_of_the_companion(make_companion_job):
    run = RunPaths(run_in_process(make_companion_job()).run)
    summary = calibration.load_map_of_run(run).change.companion_summary
    assert f"companion</th><td>{summary}</td>" in read(run.report).decode()
