"""An evaluation measures what the run writes, resumes after an interruption, and names what is missing."""

import io
import json

import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from deepot.errors import MapError, SpecError
from deepot.evaluation.image_metrics import psnr
from deepot.evaluation.sweep import SweepPoint
from deepot.photo.pixels import Pixels
from pipeline.config import parse_job
from pipeline.config.job import Limits
from pipeline.errors import ConfigError, NothingFoundError
from pipeline.evaluation import evaluate
from pipeline.evaluation.evaluate import evaluate_job
from pipeline.reporting.evaluation_table import tabulate_evaluation
from pipeline.stages import RunOptions, fit_job, open_run, run_job
from pipeline.storage.folders import delete_folder, list_names
from pipeline.storage.objects import read
from pipeline.storage.uris import join_uri
from tests.support.in_process_pool import InProcessWorkerPool, without_ray
from tests.support.photos import make_photo, small_job_config, write_photos

OPTIONS = RunOptions(allow_code=True)
PLACES = ("enhanced", "clean")
COMPUTE = {"images_per_shard": 2, "dtype": "float32"}
MEASURED = {
    "features": "tests.support.fake_metrics:edge_features",
    "metrics": ["tests.support.fake_metrics:largest_error"],
    "alphas": [0, 0.5],
    "modes": ["auto", "residual"],
    "replicates": 5,
}


@pytest.fixture
def evaluated_job(make_job, tmp_path):
    write_photos(tmp_path / "clean", 6, restored=False)

    def make(compute=COMPUTE, **changes):
        return make_job(evaluate=MEASURED | {"clean": str(tmp_path / "clean")} | changes, compute=compute)

    return make


def test_evaluate_job_with_preserve_measures_what_the_run_writes(make_job, tmp_path, in_process):
    write_photos(tmp_path / "clean", 6, restored=False)
    config = {"clean": str(tmp_path / "clean"), "alphas": [0.5], "modes": ["auto"], "replicates": 5}
    maps = {}
    for keep in ((), ("chroma", "mean")):
        job = make_job(evaluate=config, transport={"preserve": keep}, run=str(tmp_path / "-".join(("run", *keep))))
        found = evaluate_job(open_run(job, OPTIONS))
        maps[keep] = found.points[SweepPoint("auto", 0.5)]["psnr"].value
    run_job(job, OPTIONS)
    values = []
    for path in sorted((tmp_path / "clean").rglob("*.png")):
        name = path.relative_to(tmp_path / "clean")
        written, given, clean = (
            Pixels.from_image(Image.open(tmp_path / place / name)).to_rgb()
            for place in ("enhanced", "restored", "clean")
        )
        values.append(psnr(written, clean))
        inside = ((written > 0) & (written < 1)).all(1, keepdim=True)
        change = (written - given) * inside
        assert (change - change[:, :1]).abs().max() < 1.01 / 255
    assert maps[keep] == pytest.approx(sum(values) / len(values), abs=1e-6)
    assert maps[keep] != pytest.approx(maps[()], abs=1e-3)


def test_evaluate_job_with_a_companion_measures_what_the_run_writes(make_job, tmp_path, in_process):
    write_photos(tmp_path / "clean", 6, restored=False)
    job = make_job(
        evaluate={"clean": str(tmp_path / "clean"), "alphas": [2], "modes": ["auto"], "replicates": 5},
        transport={"alpha": 2, "companion": "input"},
        restorer="tests.support.fake_restorers:noisy",
    )
    found = evaluate_job(open_run(job, OPTIONS)).points
    run_job(job, OPTIONS)
    pairs = [
        [Pixels.from_image(Image.open(tmp_path / place / path.relative_to(tmp_path / "clean"))) for place in PLACES]
        for path in sorted((tmp_path / "clean").rglob("*.png"))
    ]
    values = [psnr(*(pixels.to_rgb() for pixels in pair)) for pair in pairs]
    assert found[SweepPoint("auto", 2.0)]["psnr"].value == pytest.approx(sum(values) / 6, abs=1e-6)
    assert found[SweepPoint("auto", 2.0)]["psnr"].value > found[SweepPoint("restored")]["psnr"].value + 0.5


@pytest.mark.parametrize("clean_mode", ["L", "RGB"])
def test_evaluate_job_grey_photos_are_measured_as_the_run_writes_them(make_job, tmp_path, in_process, clean_mode):
    write_photos(tmp_path / "clean", 6, restored=False)
    job = make_job(evaluate={"clean": str(tmp_path / "clean"), "alphas": [0.5], "replicates": 5})
    for folder, mode in (("clean", clean_mode), ("restored", "L")):
        for path in (tmp_path / folder).rglob("*.png"):
            Image.open(path).convert("L").convert(mode).save(path)
    run_job(job, OPTIONS)
    found = evaluate_job(open_run(job, OPTIONS))
    assert (found.photos, found.unusable) == (6, {})
    values = []
    for path in sorted((tmp_path / "clean").rglob("*.png")):
        written, clean = (
            Pixels.from_image(Image.open(tmp_path / place / path.relative_to(tmp_path / "clean"))).to_rgb()
            for place in ("enhanced", "clean")
        )
        assert torch.equal(written[:, 0], written[:, 1])
        values.append(psnr(written, clean))
    assert found.points[SweepPoint("auto", 0.5)]["psnr"].value == pytest.approx(sum(values) / 6, abs=1e-6)


def test_evaluate_job_with_a_degradation_degrades_the_clean_photos(make_job, tmp_path, in_process):
    write_photos(tmp_path / "clean", 3, restored=False)
    config = {"clean": str(tmp_path / "clean"), "degradation": "blur:sigma=1", "crop": 24}
    found = evaluate_job(open_run(make_job(evaluate=MEASURED | config), OPTIONS))
    assert found.points[SweepPoint("residual", 0.0)]["reduction of map 1"].value > 0.1
    assert found.points[SweepPoint("restored")]["psnr"].value < 40


def read_strictly(folder):
    """Return evaluation.json, which must not contain numbers that JSON does not have."""
    return json.loads(read(join_uri(folder, "evaluation.json")), parse_constant=pytest.fail)


def test_evaluate_job_without_features_measures_naturalness_and_names_what_small_photos_lack(
    make_job, tmp_path, in_process
):
    write_photos(tmp_path / "clean", 3, restored=False)
    config = {"clean": str(tmp_path / "clean"), "degradation": "blur:sigma=1", "crop": 16, "replicates": 5}
    found = evaluate_job(open_run(make_job(evaluate=config | {"alphas": [0], "modes": ["residual"]}), OPTIONS))
    restored, after = (found.points[point] for point in (SweepPoint("restored"), SweepPoint("residual", 0.0)))
    assert {"swd", "swd level 1", "reduction of swd", "lsd", "niqe", "repetition", "latents"} <= set(after)
    assert after["swd"].value < restored["swd"].value
    assert after["lsd"].value < restored["lsd"].value
    assert restored["swd"].low <= restored["swd"].value <= restored["swd"].high
    assert found.unmeasured == ["niqe", "repetition"]
    assert "Not measured: niqe (it needs photos of at least two patches" in found.note
    estimates = read_strictly(found.folder)["points"][0]["estimates"]
    assert estimates["niqe"] == {"value": None, "low": None, "high": None}
    rows = pq.read_table(io.BytesIO(read(join_uri(found.folder, "photos.parquet")))).to_pylist()
    assert all(row["niqe"] is row["repetition"] is None and row["lsd"] >= 0 for row in rows)
    assert [row[0] for row in tabulate_evaluation(found)][1] == "restored"
    assert "NIQE" not in tabulate_evaluation(found)[0]


def test_evaluate_job_fits_niqe_on_the_clean_photos(make_job, tmp_path, in_process):
    (tmp_path / "clean").mkdir()
    for seed in range(8):
        make_photo(seed, 288, 192).save(tmp_path / "clean" / f"{seed}.png")
    config = {"clean": str(tmp_path / "clean"), "degradation": "blur:sigma=1", "alphas": [0], "modes": ["residual"]}
    found = evaluate_job(open_run(make_job(evaluate=config | {"replicates": 5}), OPTIONS))
    values = {str(point): estimates["niqe"].value for point, estimates in found.points.items()}
    assert values["restored"] > 2 * values["round trip of clean"] > 0
    rows = pq.read_table(io.BytesIO(read(join_uri(found.folder, "photos.parquet")))).to_pylist()
    per_photo = [row["niqe"] for row in rows if row["name"] == "restored"]
    assert values["restored"] == pytest.approx(sum(per_photo) / 8)


def test_evaluate_job_of_constant_photos_has_defined_values(make_job, tmp_path, in_process):
    (tmp_path / "clean").mkdir()
    for level in (50, 90, 130):
        Image.new("RGB", (40, 40), (level,) * 3).save(tmp_path / "clean" / f"{level}.png")
    config = {"clean": str(tmp_path / "clean"), "degradation": "jpeg:quality=90", "alphas": [0], "modes": ["residual"]}
    found = evaluate_job(open_run(make_job(evaluate=config | {"replicates": 5}), OPTIONS))
    restored = found.points[SweepPoint("restored")]
    assert (restored["swd"].value, restored["lsd"].value) == (0, 0)
    read_strictly(found.folder)


class StoppedError(Exception):
    pass


def test_evaluate_job_resumes_after_an_interruption(evaluated_job, in_process, monkeypatch):
    context = open_run(evaluated_job(), OPTIONS)
    uninterrupted = evaluate_job(context)
    delete_folder(context.run.evaluation())
    calls = []

    def until(stop):
        def execute(_self, function, tasks):
            for task in tasks:
                calls.append(function.__name__)
                yield function(task)
                if len(calls) == stop:
                    raise StoppedError

        monkeypatch.setattr(InProcessWorkerPool, "map_unordered", execute)
        calls.clear()

    until(4)
    with pytest.raises(StoppedError):
        evaluate_job(context)
    until(5)
    with pytest.raises(StoppedError):
        evaluate_job(context)
    assert calls == ["prepare_photo"] * 2 + ["measure_point"] * 3
    until(None)
    assert evaluate_job(context) == uninterrupted
    assert "prepare_photo" not in calls


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run whose evaluation is finished, and the folder of the evaluation."""
    folder = tmp_path_factory.mktemp("finished")
    write_photos(folder / "clean", 6, restored=False)
    measured = MEASURED | {"clean": str(folder / "clean")}
    with without_ray(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "plot_curve", lambda _: b"")
        context = open_run(parse_job(small_job_config(folder, evaluate=measured, compute=COMPUTE)), OPTIONS)
        return context, evaluate_job(context).folder


@pytest.mark.parametrize("change", ["version", "fields"])
def test_evaluate_job_files_of_another_format_are_not_read(finished, in_process, monkeypatch, change):
    """An interrupted evaluation leaves files of the photos, whose keys are the fields of a dataclass."""
    context, now = finished
    if change == "version":
        monkeypatch.setattr(evaluate, "EVALUATION_FORMAT", evaluate.EVALUATION_FORMAT - 1)
    else:
        monkeypatch.setattr(evaluate, "fields", lambda _: ())
    before = evaluate_job(context).folder
    assert before != now
    assert list_names(now) == list_names(before) == {"photos.parquet", "evaluation.json", "curve.png"}


def test_evaluate_job_names_what_is_missing(make_job, evaluated_job, tmp_path, in_process):
    with pytest.raises(ConfigError, match=r"give evaluate\.clean"):
        evaluate_job(open_run(make_job(), OPTIONS))
    with pytest.raises(ConfigError, match="--allow-code"):
        embedded = make_job(autoencoder="embedded", evaluate=MEASURED | {"clean": str(tmp_path / "clean")})
        evaluate_job(open_run(embedded, RunOptions()))
    with pytest.raises(SpecError, match="did you mean 'blur'"):
        evaluate_job(open_run(evaluated_job(degradation="blurr:sigma=1"), OPTIONS))
    (tmp_path / "clean" / "photo 01.tif").write_bytes(b"")
    with pytest.raises(ConfigError, match="keep one of the two"):
        evaluate_job(open_run(evaluated_job(), OPTIONS))
    with pytest.raises(ConfigError, match=r"no original of any photo of the input, such as"):
        evaluate_job(open_run(evaluated_job(clean=str(tmp_path / "natural" / "sub")), OPTIONS))


def test_evaluate_job_leaves_out_unusable_photos_with_reasons(evaluated_job, tmp_path, in_process):
    (tmp_path / "clean" / "photo 01.png").write_bytes(b"no photo")
    Image.new("RGB", (20, 20)).save(tmp_path / "clean" / "photo 02.png")
    (tmp_path / "clean" / "sub" / "photo 03.png").write_bytes(bytes(2**20))
    evaluated_job()  # makes the restored photos
    for place in ("clean", "restored"):
        Image.new("RGB", (40, 9)).save(tmp_path / place / "photo 04.png")
    (tmp_path / "clean" / "photo 05.png").unlink()
    limited = evaluated_job().model_copy(update={"limits": Limits(max_bytes=2**19)})
    found = evaluate_job(open_run(limited, OPTIONS))
    assert found.photos == 1
    reasons = " ".join(found.unusable.values())
    assert all(
        text in reasons
        for text in ("not_an_image", "too_large", "its clean original 20 × 20", "too small to be measured")
    )
    for path in (tmp_path / "clean").rglob("*.png"):
        path.write_bytes(b"no photo")
    with pytest.raises(NothingFoundError, match="none of the 5 photos can be evaluated"):
        evaluate_job(open_run(evaluated_job(replicates=3), OPTIONS))


def test_evaluate_job_map_of_another_autoencoder_is_refused(evaluated_job, tmp_path, in_process):
    context = open_run(evaluated_job(), OPTIONS)
    fit_job(context)
    other = evaluated_job().model_copy(
        update={"map": context.calibration.map(), "autoencoder": "tests.support.fake_autoencoders:smooth"}
    )
    with pytest.raises(MapError, match="fitted with the autoencoder"):
        evaluate_job(open_run(other, OPTIONS))


def test_evaluate_job_crops_sizes_that_downscaling_does_not_divide(evaluated_job, tmp_path, in_process):
    for path in (tmp_path / "clean").rglob("*.png"):
        make_photo(3, 50, 39).save(path)
    job = evaluated_job(degradation="downscale:factor=4").model_copy(update={"restorer": "resize:factor=4"})
    assert evaluate_job(open_run(job, OPTIONS)).photos == 6


def test_run_fingerprint_does_not_depend_on_evaluate(make_job, evaluated_job):
    assert make_job().run_fingerprint({}) == evaluated_job().run_fingerprint({})
    assert json.loads(evaluated_job().model_dump_json())["evaluate"]["alphas"] == [0, 0.5]
