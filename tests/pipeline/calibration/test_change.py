"""What a map changes is measured on calibration pairs, in any order and after a stop, and decides α if the job asks."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from deepot import Enhancer, load_autoencoder
from deepot.errors import MapError
from deepot.inference import measure_energies, score_photo
from deepot.photo import Pixels
from deepot.transport import ChangeByPhoto, fit_change, fit_energy_gains, merge_in_order
from pipeline import calibration
from pipeline.calibration.change import MAX_MEASURED_PHOTOS, measure_map
from pipeline.calibration.maps import fit_and_store_map
from pipeline.calibration.shard_change import compute_shard_change
from pipeline.calibration.stored_moments import read_change_blocks
from pipeline.calibration.tasks import MomentsTask
from pipeline.config import Job
from pipeline.errors import ConfigError, DeepotError
from pipeline.imageio import decode
from pipeline.progress import NullProgress
from pipeline.runs import RunPaths, Shard, iter_manifest_tables
from pipeline.stages import RunOptions, open_run
from pipeline.storage import Entry, read
from tests.support.in_process_pool import run_in_process

OPTIONS = RunOptions(allow_code=True)
WEAK_AUTOENCODER = "tests.support.fake_autoencoders:smooth"
LOSSY_AUTOENCODER = "tests.support.fake_autoencoders:blocks"


def execute(function, tasks):
    return [function(task) for task in tasks]


def calibrate(job):
    """The opened job, its tasks, and its map before the change is measured."""
    context = open_run(job, OPTIONS)
    tasks = calibration.make_moments_tasks(context.job, context.calibration, True, context.excluded_folders)
    sides = calibration.compute_moments(tasks, execute, NullProgress())
    return context, tasks, fit_and_store_map(context.job, context.calibration, context.models.autoencoder, *sides)


def measure_backwards_after_a_stop(tasks, fitted, done_before):
    """Measure some tasks, stop, and measure the others in reverse order; none is measured twice."""
    computed = []

    def stop(function, tasks):
        for task in tasks[:done_before]:
            function(task)
        raise KeyboardInterrupt

    def execute_backwards(function, tasks):
        computed.extend(tasks)
        return [function(task) for task in reversed(tasks)]

    with pytest.raises(KeyboardInterrupt):
        measure_map(tasks, fitted, stop, NullProgress())
    measured = measure_map(tasks, fitted, execute_backwards, NullProgress())
    assert len(computed) == len(tasks) - done_before
    return measured


def test_change_is_the_same_in_any_order_and_after_a_stop(make_job, tmp_path):
    maps = []
    for place, done_before in (("a", 0), ("b", 2)):
        _, tasks, fitted = calibrate(make_job(run=str(tmp_path / place)))
        maps.append(measure_backwards_after_a_stop(tasks, fitted, done_before))
    assert maps[0].to_bytes() == maps[1].to_bytes()
    assert maps[0].change.images == sum(len(task.shard.entries) for task in tasks)


def test_photos_that_cannot_be_read_are_left_out(make_job, tmp_path):
    job = make_job()
    (tmp_path / "natural" / "broken.png").write_bytes(b"no photo")
    context, tasks, fitted = calibrate(job)
    model = measure_map(tasks, fitted, execute, NullProgress()).change
    sums = [
        ChangeByPhoto.from_bytes(read(context.calibration.change_sums(fitted.sha256, task.shard.number))).total
        for task in tasks
    ]
    images = sum(len(task.shard.entries) for task in tasks)
    assert sum(int(each.totals[2]) for each in sums) == model.images == images - 1
    assert fit_change(sums).gains == model.gains


def test_measured_photos_are_limited_and_spread_over_all_shards(make_job, tmp_path):
    context = open_run(make_job(), OPTIONS)
    entries = [Entry(f"/photos/{number}", str(number), 1, "", 0.0) for number in range(1000)]
    tasks = [
        MomentsTask(
            context.job, True, context.calibration, calibration.Side.BOTH, Shard(number, tuple(entries[first:last]))
        )
        for number, (first, last) in enumerate([(0, 7), (7, 8), (8, 300), (300, 1000)])
    ]
    chosen = []

    def record(function, tasks):
        assert function is compute_shard_change
        chosen.extend(entry for task in tasks for entry in task.shard.entries)
        raise KeyboardInterrupt

    _, _, fitted = calibrate(make_job())
    with pytest.raises(KeyboardInterrupt):
        measure_map(tasks, fitted, record, NullProgress())
    step = 1000 // MAX_MEASURED_PHOTOS + 1
    assert chosen == entries[::step]
    assert len(chosen) <= MAX_MEASURED_PHOTOS


def make_unpaired_job(make_job, tmp_path, **changes):
    """A job over soft photos, with an autoencoder whose decoder draws the missing detail too weakly."""
    calibrated = {"reference": str(tmp_path / "natural"), "restored": str(tmp_path / "restored")}
    return make_job(12, calibration=calibrated, autoencoder=WEAK_AUTOENCODER, **changes)


def test_self_calibrations_have_gains_without_error_curves_and_refuse_goals(make_job):
    kind = {"degradation": "blur:sigma=1"}
    context, tasks, fitted = calibrate(make_job(12, calibration=kind))
    measured = measure_map(tasks, fitted, execute, NullProgress())
    sums = [each.total for each in read_change_blocks(context.calibration, fitted.sha256, range(len(tasks)))]
    assert measured.change == replace(fit_change(sums), curves=None)
    assert measured.change.images == 12
    assert measured.gains.luma[0] < 1, "coarse structure is not all wrong"
    assert not measured.natural_tests, "restored photos do not show how natural ones look"
    with pytest.raises((ConfigError, ValueError), match=r"transport\.alpha is min-error, .* the calibration is self"):
        make_job(calibration=kind, transport={"alpha": "min-error"})


def test_unpaired_sets_are_measured_on_either_side_in_any_order_and_after_a_stop(make_job, tmp_path):
    maps = []
    for place, done_before in (("a", 0), ("b", 3)):
        context, tasks, fitted = calibrate(make_unpaired_job(make_job, tmp_path, run=str(tmp_path / place)))
        maps.append(measure_backwards_after_a_stop(tasks, fitted, done_before))
    assert maps[0].to_bytes() == maps[1].to_bytes()
    models = [each.change for each in maps]
    assert (models[0].images, models[0].curves) == (12, None)
    autoencoder, operator = context.models.autoencoder, fitted.operator_on()
    photos = {
        side: [Pixels.from_image(Image.open(path)) for path in (tmp_path / side).rglob("*.png")]
        for side in ("restored", "natural")
    }
    direct = fit_energy_gains(
        merge_in_order(measure_energies(autoencoder, photo, operator) for photo in photos["restored"]),
        merge_in_order(measure_energies(autoencoder, photo) for photo in photos["natural"]),
    )
    assert models[0].gains.luma == pytest.approx(direct.gains.luma)


def test_unpaired_job_applies_the_gains_of_its_map(make_job, tmp_path):
    run = RunPaths(run_in_process(make_unpaired_job(make_job, tmp_path, transport={"alpha": 0})).run)
    transport = calibration.load_map_of_run(run)
    assert max(transport.gains.luma) > 1.2
    assert ">gains</th>" in read(run.report).decode()
    assert ">error</th>" not in read(run.report).decode()
    autoencoder = load_autoencoder(WEAK_AUTOENCODER, allow_code=True, dtype=torch.float32)
    key = next(path.relative_to(tmp_path / "restored") for path in (tmp_path / "restored").rglob("*.png"))
    with Image.open(tmp_path / "restored" / key) as restored, Image.open(tmp_path / "enhanced" / key) as enhanced:
        expected = Enhancer(autoencoder, transport, alpha=0)(restored)
        weaker = Enhancer(autoencoder, replace(transport, change=None), alpha=0)(restored)
        assert enhanced.tobytes() == expected.tobytes() != weaker.tobytes()


def test_unpaired_sets_refuse_goals(make_job, tmp_path):
    with pytest.raises(
        (ConfigError, ValueError), match=r"transport\.alpha is min-error, .* the calibration is unpaired"
    ):
        make_unpaired_job(make_job, tmp_path, transport={"alpha": "min-error"})


@pytest.mark.parametrize("alpha", ["min-error", "loss<=0.5dB"])
def test_goal_decides_alpha_by_the_error_curve_of_the_map(make_job, alpha):
    job = make_job(transport={"alpha": alpha, "mode": "residual"})
    run = RunPaths(run_in_process(job).run)
    transport = calibration.load_map_of_run(run)
    curve = transport.change.curves["residual"]
    expected = curve.resolve(alpha)
    assert expected == 0 if "loss" in alpha else 0 < expected < 1, "blurred photos gain PSNR at any α"
    alphas = {row["alpha"] for table in iter_manifest_tables(run) for row in table.to_pylist()}
    assert alphas == {expected}
    assert curve.loss_db(expected) <= (0.5 if "loss" in alpha else 0)


def test_another_goal_reuses_the_map(make_job, tmp_path):
    found = set()
    for number, alpha in enumerate(("min-error", "loss<=0.5dB", 0.5)):
        job = make_job(transport={"alpha": alpha}, output={"uri": str(tmp_path / f"output-{number}")})
        found.add(run_in_process(job).run)
    assert len(found) == 3
    assert len(list(tmp_path.glob("_deepot/calibrations/*/maps/*.safetensors"))) == 1


def test_goal_with_a_named_map_that_has_no_pairs_is_refused_before_anything_is_written(make_job, tmp_path):
    _, _, fitted = calibrate(make_job(calibration={"degradation": "blur:sigma=1"}, run=str(tmp_path / "first")))
    fitted.save(tmp_path / "map.safetensors")
    output = tmp_path / "other-output"
    job = make_job(
        calibration=None,
        map=str(tmp_path / "map.safetensors"),
        output={"uri": str(output)},
        transport={"alpha": "min-error"},
    )
    with pytest.raises(DeepotError, match=r"alpha is 'min-error'.*fitted without pairs \(self\): give a number"):
        run_in_process(job)
    assert not output.exists()


def test_goal_of_each_photo_decides_its_alpha_by_its_scores(make_job, tmp_path):
    calibrated = {"reference": str(tmp_path / "restored"), "degradation": "jpeg:quality=90"}
    transport = {"alpha": "per-photo:loss<=0.1dB", "mode": "plain", "leave_natural": "off"}
    job = make_job(transport=transport, images=24, calibration=calibrated, autoencoder=LOSSY_AUTOENCODER)
    run = RunPaths(run_in_process(job).run)
    transport = calibration.load_map_of_run(run)
    rule = transport.photo_curves.fit_rule("plain", 0.1)
    rows = [row for table in iter_manifest_tables(run) for row in table.to_pylist()]
    for row in rows:
        expected = rule.alpha(score_photo(decode(read(row["input_uri"]), 10**6).pixels))
        assert row["alpha"] == expected
    assert len({row["alpha"] for row in rows}) > 2
    assert transport.resolve_alpha("per-photo:loss<=0.1dB", "plain") == round(1 - rule.uniform, 6)


def test_goal_of_each_photo_needs_nineteen_pairs(make_job):
    with pytest.raises(MapError, match=r"needs at least 19 calibration pairs, but .* 6: give .* such as loss<=0.5dB"):
        run_in_process(make_job(transport={"alpha": "per-photo"}))


@pytest.mark.parametrize("alpha", ["per-photo:", "per-photo:0.3", "per photo", "min error", "loss<=x", 5, "nan"])
def test_job_refuses_other_texts_as_alpha(make_job, alpha):
    with pytest.raises((ConfigError, ValueError), match="alpha"):
        make_job(transport={"alpha": alpha})


def test_goal_and_strength_together_are_refused():
    with pytest.raises(ValueError, match="it has alpha and strength"):
        Job.model_validate(
            {"input": "/in", "output": "/out", "map": "/map", "transport": {"alpha": "min-error", "strength": 1}}
        )
