"""Previews of small jobs, in this process."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepot.evaluation import SweepPoint
from pipeline.errors import ConfigError, NothingFoundError
from pipeline.preview import PreviewOptions, preview_job
from pipeline.preview import preview as preview_module
from pipeline.stages import RunOptions, open_run
from tests.support.in_process_pool import OPTIONS, run_in_process

pytestmark = pytest.mark.usefixtures("in_process")


def files(folder):
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_preview_job_renders_what_a_run_writes_and_leaves_its_map_to_the_run(make_job, tmp_path):
    job = make_job()
    before = files(tmp_path)
    found = preview_job(job, OPTIONS, PreviewOptions(limit=2))
    made = files(tmp_path)
    assert before.items() <= made.items()
    calibration = Path(open_run(job, OPTIONS).calibration.uri)
    assert all(path.is_relative_to(calibration) for path in made.keys() - before.keys())
    assert not (tmp_path / "enhanced").exists(), "no run, and no photo"
    assert found.points[found.chosen] == SweepPoint("auto", 0.5)
    assert [point.alpha for point in found.points if point.name == "auto"] == [0.75, 0.5, 0.25, 0.0]
    assert {point.name for point in found.points if point.alpha == 0.5} == {"auto", "detail", "residual", "plain"}
    assert found.calibration_photos is None

    result = run_in_process(job)
    assert result.complete
    kept = {path: data for path, data in made.items() if path.suffix == ".safetensors"}
    assert kept and kept.items() <= files(tmp_path).items(), "its statistics and its map"
    assert len(found.photos) == 2
    for photo in found.photos:
        restored, enhanced = (
            np.asarray(Image.open(folder / photo.entry.key), np.float64)
            for folder in (tmp_path / "restored", tmp_path / "enhanced")
        )
        version = photo.versions[found.chosen + 1]
        assert version.mean_change == pytest.approx(np.abs(enhanced - restored).mean(), abs=1e-12)
        assert version.psnr == pytest.approx(10 * np.log10(255**2 / np.square(enhanced - restored).mean()), abs=1e-9)
        assert photo.versions[0].mean_change == 0 and photo.versions[0].psnr == np.inf
        assert photo.full_size == photo.size == restored.shape[1::-1]


def test_preview_job_shows_enlarged_photos_as_a_run_writes_them(make_job, tmp_path):
    calibration = {"reference": str(tmp_path / "natural"), "degradation": "downscale:factor=2"}
    job = make_job(calibration=calibration, restorer="resize:factor=2", transport={"alpha": 0.25})
    found = preview_job(job, OPTIONS, PreviewOptions(limit=2))
    run_in_process(job)
    for photo in found.photos:
        small = Image.open(tmp_path / "restored" / photo.entry.key)
        restored = np.asarray(small.resize((2 * small.width, 2 * small.height), Image.Resampling.BICUBIC), np.float64)
        enhanced = np.asarray(Image.open(tmp_path / "enhanced" / photo.entry.key), np.float64)
        expected = np.abs(enhanced - restored).mean()
        assert expected > 0
        assert photo.versions[found.chosen + 1].mean_change == pytest.approx(expected, abs=1e-12)


def test_preview_job_with_many_calibration_photos_and_no_map_takes_few(make_job, tmp_path, monkeypatch):
    monkeypatch.setattr(preview_module, "MAX_CALIBRATION_PHOTOS", 2)
    monkeypatch.setattr(preview_module, "_FEW_PHOTOS", 2)
    job = make_job()
    found = preview_job(job, OPTIONS, PreviewOptions(limit=1))
    assert (found.calibration_photos, found.transport.info.reference_images) == (2, 2)
    assert run_in_process(job).complete
    again = preview_job(job, OPTIONS, PreviewOptions(limit=1))
    assert (again.calibration_photos, again.transport.info.reference_images) == (None, 6), "the job's own map is there"


def test_preview_job_with_few_calibration_photos_shows_the_default_in_place_of_a_limit_for_each_photo(
    make_job, tmp_path, monkeypatch
):
    monkeypatch.setattr(preview_module, "MAX_CALIBRATION_PHOTOS", 2)
    monkeypatch.setattr(preview_module, "_FEW_PHOTOS", 2)
    found = preview_job(make_job(transport={"alpha": "per-photo"}), OPTIONS, PreviewOptions(limit=1))
    assert found.points[found.chosen].alpha == 0.5


def test_preview_job_shows_the_named_photos(make_job, tmp_path):
    names = ("photo 01.png", str(tmp_path / "restored" / "sub" / "photo 03.png"))
    found = preview_job(make_job(), OPTIONS, PreviewOptions(photos=names))
    assert [photo.entry.key for photo in found.photos] == ["photo 01.png", "sub/photo 03.png"]
    with pytest.raises(NothingFoundError, match=r"photo 99.png is not a photo of the input .*restored"):
        preview_job(make_job(), OPTIONS, PreviewOptions(photos=("photo 01.png", "photo 99.png")))


def test_preview_job_names_photos_that_cannot_be_shown(make_job, tmp_path):
    job = make_job(images=2)
    broken = tmp_path / "restored" / "broken.png"
    broken.write_bytes(b"no photo")
    found = preview_job(job, OPTIONS, PreviewOptions())
    assert [uri for uri, _ in found.unusable] == [str(broken)]
    with pytest.raises(NothingFoundError, match=r"none of the 1 photos can be shown; .*broken.png: "):
        preview_job(job, OPTIONS, PreviewOptions(photos=("broken.png",)))


def test_preview_job_shows_the_middle_of_a_large_photo_as_a_viewer_turns_it(make_job, tmp_path):
    job = make_job(images=2)
    photo = Image.effect_noise((400, 200), 60).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(tmp_path / "restored" / "turned.jpg", exif=exif, quality=95)
    (found,) = preview_job(job, OPTIONS, PreviewOptions(photos=("turned.jpg",), max_side=320)).photos
    assert (found.full_size, found.size) == ((200, 400), (200, 320))
    assert {(mark.width, mark.height) for mark in found.marks} == {(160, 160)}


def test_preview_job_with_a_map_needs_no_calibration(make_job, tmp_path):
    made = run_in_process(make_job())
    (map_file,) = Path(made.run).parent.parent.parent.rglob("map-0001.safetensors")
    job = make_job(map=str(map_file), calibration=None, output={"uri": str(tmp_path / "other")})
    found = preview_job(job, OPTIONS, PreviewOptions(limit=1))
    assert len(found.photos) == 1 and not (tmp_path / "other").exists()


def test_preview_job_on_a_cluster_is_refused(make_job):
    with pytest.raises(ConfigError, match="on this machine: leave out --address"):
        preview_job(make_job(), RunOptions(address="10.0.0.1:6379"), PreviewOptions())
