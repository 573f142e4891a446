"""The tone curve of a calibration: fitted once, before the moments, whatever the order and the crashes."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from deepot.transport import ToneCurve, ToneSums
from pipeline import calibration
from pipeline.calibration.maps import fit_and_store_map
from pipeline.calibration.shard_moments import compute_shard_moments, compute_shard_tone
from pipeline.progress import NullProgress
from pipeline.stages import RunOptions, open_run
from pipeline.storage import read
from tests.support.photos import make_photo

OPTIONS = RunOptions(allow_code=True)


def darken(pixels):
    """A restorer that leaves every photo too dark."""
    return replace(pixels, samples=(pixels.samples * 0.8).astype(np.uint8))


@pytest.fixture
def dark_job(make_job, tmp_path, monkeypatch):
    """A job whose restorer darkens; large photos, so that the curve has samples."""
    (tmp_path / "natural").mkdir()
    for number in range(4):
        make_photo(number, 256, 256).save(tmp_path / "natural" / f"large-{number}.png")
    monkeypatch.setattr("pipeline.workers.models.load_restorer", lambda spec, **options: Darkener())
    return lambda **changes: make_job(**changes)


class Darkener:
    """A loaded restorer."""

    scale, sha256 = 1, "darkener"

    def __call__(self, pixels):
        return darken(pixels)


def execute(function, tasks):
    return [function(task) for task in tasks]


def calibrate(job):
    context = open_run(job, OPTIONS)
    tasks = calibration.make_moments_tasks(context.job, context.calibration, True, context.excluded_folders)
    sides = calibration.compute_moments(tasks, execute, NullProgress())
    return context, tasks, fit_and_store_map(context.job, context.calibration, context.models.autoencoder, *sides)


def test_map_has_the_tone_curve_that_its_moments_were_computed_with(dark_job):
    context, _, transport = calibrate(dark_job())
    assert transport.tone.share > 0.5
    assert 10 < transport.tone.shifts[:, 160].mean() < 41, "160 was 200"
    assert read(context.calibration.tone_curve) == transport.tone.to_bytes()
    _, _, without = calibrate(dark_job(transport={"tone": "off"}))
    assert without.tone is None
    assert transport.info.wasserstein2 < 0.7 * without.info.wasserstein2, "restored photos were toned before encoding"


def test_tone_curve_stays_when_photos_are_added(dark_job, tmp_path):
    context, tasks, _ = calibrate(dark_job())
    curve = read(context.calibration.tone_curve)
    Image.new("RGB", (300, 300), (90, 20, 200)).save(tmp_path / "natural" / "another.png")
    again = open_run(dark_job(), OPTIONS)
    more = calibration.make_moments_tasks(again.job, again.calibration, True, again.excluded_folders)
    assert len(more) == len(tasks) + 1
    called = []

    def count(function, tasks):
        called.extend(function for _ in tasks)
        return execute(function, tasks)

    calibration.compute_moments(more, count, NullProgress())
    assert called == [compute_shard_moments]
    assert read(again.calibration.tone_curve) == curve


def test_tone_curve_is_the_same_in_any_order_and_after_a_stop(dark_job, tmp_path):
    curves = []
    for place, done_before in (("a", 0), ("b", 3)):
        context = open_run(dark_job(run=str(tmp_path / place)), OPTIONS)
        tasks = calibration.make_moments_tasks(context.job, context.calibration, True, context.excluded_folders)
        for task in tasks[:done_before]:
            compute_shard_tone(task)
        computed = []

        def execute_backwards(function, tasks, computed=computed):
            computed.extend(task.shard.number for task in tasks if function is compute_shard_tone)
            return [function(task) for task in reversed(tasks)]

        calibration.compute_moments(tasks, execute_backwards, NullProgress())
        assert len(computed) == len(tasks) - done_before
        curves.append(read(context.calibration.tone_curve))
    assert curves[0] == curves[1]


def test_tone_sums_of_photos_that_cannot_be_read_are_empty_and_no_error(dark_job, tmp_path):
    (tmp_path / "natural" / "broken.png").write_bytes(b"no photo")
    context, tasks, transport = calibrate(dark_job())
    sums = [ToneSums.from_bytes(read(context.calibration.tone_sums(task.shard.number))) for task in tasks]
    assert sorted({each.images for each in sums}) == [0, 1]
    assert ToneCurve.from_bytes(read(context.calibration.tone_curve)).share == transport.tone.share > 0


def test_self_calibration_has_the_tone_curve_of_the_restorer_applied_twice(dark_job, tmp_path):
    """What the restorer does to tones it does again to its own results, and these are at hand."""
    job = dark_job(calibration={"degradation": "noise:sigma=2"})  # after blur, small photos would become too small
    for path in (tmp_path / "natural").glob("large-*.png"):
        path.rename(tmp_path / "restored" / path.name)
    context, _, transport = calibrate(job)
    assert job.calibration_kind == "self" and context.job.fits_tone
    assert transport.tone.share > 0.5
    assert transport.tone.shifts[:, 128].mean() > 5, "a dark restorer darkens its own results"


def test_unpaired_calibrations_have_no_tone_curve(make_job, tmp_path):
    sets = {"reference": str(tmp_path / "natural"), "restored": str(tmp_path / "restored")}
    context, _, transport = calibrate(make_job(calibration=sets))
    assert not context.job.fits_tone
    assert transport.tone is None
    with pytest.raises(FileNotFoundError):
        read(context.calibration.tone_curve)
