"""An evaluation measures what the run would write, goes on where it was stopped, and says what it lacks."""

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
from pipeline.config.job import Limits
from pipeline.errors import ConfigError, NothingFoundError
from pipeline.evaluation import evaluate
from pipeline.evaluation.evaluate import evaluate_job
from pipeline.stages.driver import RunOptions, fit_job, open_run, run_job
from pipeline.storage.folders import delete_folder, list_names
from pipeline.storage.objects import read
from pipeline.storage.uris import join_uri
from tests.support.in_process_pool import InProcessWorkerPool
from tests.support.photos import make_photo, write_photos

HOW = RunOptions(allow_code=True)
MEASURED = {
    "features": "tests.support.fake_metrics:edge_features",
    "metrics": ["tests.support.fake_metrics:largest_error"],
    "alphas": [0, 0.5],
    "replicates": 20,
}


@pytest.fixture
def evaluated_job(make_job, tmp_path):
    write_photos(tmp_path / "clean", 6, restored=False)

    def make(**changes):
        return make_job(evaluate=MEASURED | {"clean": str(tmp_path / "clean")} | changes)

    return make


def test_what_is_kept_is_measured_as_it_is_written(make_job, tmp_path, in_process):
    write_photos(tmp_path / "clean", 6, restored=False)
    wanted = {"clean": str(tmp_path / "clean"), "alphas": [0], "modes": ["detail"], "replicates": 20}
    maps = {}
    for keep in ((), ("chroma", "mean")):
        job = make_job(evaluate=wanted, transport={"preserve": keep}, run=str(tmp_path / "-".join(("run", *keep))))
        found = evaluate_job(open_run(job, HOW))
        maps[keep] = found.points[SweepPoint("detail", 0.0)]["psnr"].value
    run_job(job, HOW)
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


@pytest.mark.parametrize("clean_mode", ["L", "RGB"])
def test_grey_photos_are_measured_as_the_grey_files_that_are_written(make_job, tmp_path, in_process, clean_mode):
    write_photos(tmp_path / "clean", 6, restored=False)
    job = make_job(evaluate={"clean": str(tmp_path / "clean"), "alphas": [0], "replicates": 20})
    for folder, mode in (("clean", clean_mode), ("restored", "L")):
        for path in (tmp_path / folder).rglob("*.png"):
            Image.open(path).convert("L").convert(mode).save(path)
    run_job(job, HOW)
    found = evaluate_job(open_run(job, HOW))
    assert (found.photos, found.unusable) == (6, {})
    values = []
    for path in sorted((tmp_path / "clean").rglob("*.png")):
        written, clean = (
            Pixels.from_image(Image.open(tmp_path / place / path.relative_to(tmp_path / "clean"))).to_rgb()
            for place in ("enhanced", "clean")
        )
        assert torch.equal(written[:, 0], written[:, 1])
        values.append(psnr(written, clean))
    assert found.points[SweepPoint("detail", 0.0)]["psnr"].value == pytest.approx(sum(values) / 6, abs=1e-6)


def test_it_measures_what_the_run_writes(evaluated_job, tmp_path, ray_session):
    job = evaluated_job()
    run_job(job, HOW)
    found = evaluate_job(open_run(job, HOW))
    assert (found.photos, found.unusable) == (6, {})
    rows = pq.read_table(io.BytesIO(read(join_uri(found.folder, "photos.parquet")))).to_pylist()
    assert len(rows) == 6 * (3 + 3 * 2)
    for row in rows:
        if (row["name"], row["alpha"]) == ("detail", 0.0):
            written, clean = (
                Pixels.from_image(Image.open(tmp_path / place / row["file_name"])).to_rgb()
                for place in ("enhanced", "clean")
            )
            assert row["psnr"] == pytest.approx(psnr(written, clean), abs=1e-6)
    after = found.points[SweepPoint("residual", 0.0)]
    assert after["reduction of map 1"].value > 0.1
    assert after["latents"].value < found.points[SweepPoint("restored")]["latents"].value
    assert found.points[SweepPoint("restored")]["tests.support.fake_metrics:largest_error"].value > 0
    assert Image.open(io.BytesIO(read(join_uri(found.folder, "curve.png")))).width > 400
    assert "6 photos" in found.note
    assert list_names(found.folder) == {"photos.parquet", "evaluation.json", "curve.png"}

    def never(*_):
        raise AssertionError("an evaluation that is complete is read")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "_measure_and_store", never)
        assert evaluate_job(open_run(job, HOW)) == found


def test_it_degrades_clean_photos_itself(make_job, tmp_path, in_process):
    write_photos(tmp_path / "clean", 3, restored=False)
    wanted = {"clean": str(tmp_path / "clean"), "degradation": "blur:sigma=1", "crop": 24}
    found = evaluate_job(open_run(make_job(evaluate=MEASURED | wanted), HOW))
    assert found.points[SweepPoint("residual", 0.0)]["reduction of map 1"].value > 0.1
    assert found.points[SweepPoint("restored")]["psnr"].value < 40


class StoppedError(Exception):
    pass


def test_it_goes_on_where_it_was_stopped(evaluated_job, in_process, monkeypatch):
    opened = open_run(evaluated_job(), HOW)
    whole = evaluate_job(opened)
    delete_folder(opened.run.evaluation())
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
        evaluate_job(opened)
    until(5)
    with pytest.raises(StoppedError):
        evaluate_job(opened)
    assert calls == ["prepare_photo"] * 2 + ["measure_point"] * 3
    until(None)
    assert evaluate_job(opened) == whole
    assert "prepare_photo" not in calls


def test_what_is_lacking_is_named(make_job, evaluated_job, tmp_path, in_process):
    with pytest.raises(ConfigError, match=r"give evaluate\.clean"):
        evaluate_job(open_run(make_job(), HOW))
    with pytest.raises(ConfigError, match="--allow-code"):
        embedded = make_job(autoencoder="embedded", evaluate=MEASURED | {"clean": str(tmp_path / "clean")})
        evaluate_job(open_run(embedded, RunOptions()))
    with pytest.raises(SpecError, match="did you mean 'blur'"):
        evaluate_job(open_run(evaluated_job(degradation="blurr:sigma=1"), HOW))
    (tmp_path / "clean" / "photo 01.tif").write_bytes(b"")
    with pytest.raises(ConfigError, match="keep one of the two"):
        evaluate_job(open_run(evaluated_job(), HOW))
    with pytest.raises(ConfigError, match=r"no original of any photo of the input, such as"):
        evaluate_job(open_run(evaluated_job(clean=str(tmp_path / "natural" / "sub")), HOW))


def test_a_photo_that_cannot_be_used_is_left_out(evaluated_job, tmp_path, in_process):
    (tmp_path / "clean" / "photo 01.png").write_bytes(b"no photo")
    Image.new("RGB", (20, 20)).save(tmp_path / "clean" / "photo 02.png")
    (tmp_path / "clean" / "sub" / "photo 03.png").write_bytes(bytes(2**20))
    evaluated_job()  # makes the restored photos
    for place in ("clean", "restored"):
        Image.new("RGB", (40, 9)).save(tmp_path / place / "photo 04.png")
    (tmp_path / "clean" / "photo 05.png").unlink()
    limited = evaluated_job().model_copy(update={"limits": Limits(max_bytes=2**19)})
    found = evaluate_job(open_run(limited, HOW))
    assert found.photos == 1
    reasons = " ".join(found.unusable.values())
    assert all(
        text in reasons
        for text in ("not_an_image", "too_large", "its clean original 20 × 20", "too small to be measured")
    )
    for path in (tmp_path / "clean").rglob("*.png"):
        path.write_bytes(b"no photo")
    with pytest.raises(NothingFoundError, match="not one photo could be evaluated"):
        evaluate_job(open_run(evaluated_job(replicates=3), HOW))


def test_a_map_of_another_autoencoder_is_refused(evaluated_job, tmp_path, in_process):
    opened = open_run(evaluated_job(), HOW)
    fit_job(opened)
    other = evaluated_job().model_copy(
        update={"map": opened.calibration.map(), "autoencoder": "tests.support.fake_autoencoders:smooth"}
    )
    with pytest.raises(MapError, match="fitted with the autoencoder"):
        evaluate_job(open_run(other, HOW))


def test_sizes_that_downscaling_cuts(evaluated_job, tmp_path, in_process):
    for path in (tmp_path / "clean").rglob("*.png"):
        make_photo(3, 50, 39).save(path)
    job = evaluated_job(degradation="downscale:factor=4").model_copy(update={"restorer": "resize:factor=4"})
    assert evaluate_job(open_run(job, HOW)).photos == 6


def test_evaluating_changes_no_fingerprint(make_job, evaluated_job):
    assert make_job().run_fingerprint({}) == evaluated_job().run_fingerprint({})
    assert json.loads(evaluated_job().model_dump_json())["evaluate"]["alphas"] == [0, 0.5]
