"""From calibration photos to the map of a run: in any order, resumed, of each kind of calibration; without Ray."""

import random

import pytest
import torch

from deepot.transport.binned_moments import BinnedMoments
from deepot.transport.moments import Moments
from pipeline import calibration
from pipeline.calibration import Side, calibration_of_run, stored_moments
from pipeline.calibration.maps import fit_and_store_map
from pipeline.calibration.shard_moments import compute_shard_moments
from pipeline.errors import NothingFoundError
from pipeline.progress import NullProgress
from pipeline.runs.paths import RunPaths
from pipeline.stages import RunOptions, open_run
from pipeline.storage.objects import read
from tests.support.in_process_pool import run_in_process

OPTIONS = RunOptions(allow_code=True)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_map_is_bit_identical_in_any_order_of_completion(make_job, tmp_path, seed):
    def shuffled(function, tasks):
        order = list(tasks)
        random.Random(seed).shuffle(order)
        return [function(task) for task in order]

    maps = []
    for execute, place in ((lambda f, t: [f(task) for task in t], "a"), (shuffled, "b")):
        context = open_run(make_job(run=str(tmp_path / place)), OPTIONS)
        pending = calibration.make_moments_tasks(context.job, context.calibration, True, context.excluded_folders)
        source, reference = calibration.compute_moments(pending, execute, NullProgress())
        maps.append(
            fit_and_store_map(
                context.job, context.calibration, context.models.autoencoder, source, reference
            ).to_bytes()
        )
    assert maps[0] == maps[1]


def test_map_does_not_depend_on_the_threads_of_the_calling_process(make_job, tmp_path):
    before, maps = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        job = make_job(images=4, output={"uri": str(tmp_path / f"out-{threads}")})
        maps.append(read(calibration_of_run(RunPaths(run_in_process(job).run)).map()))
    torch.set_num_threads(before)
    assert maps[0] == maps[1]


def test_compute_moments_resumes_after_the_stored_shards(make_job):
    context = open_run(make_job(), OPTIONS)
    pending = calibration.make_moments_tasks(context.job, context.calibration, True, context.excluded_folders)
    compute_shard_moments(pending[1])
    done = []

    def execute_and_count(function, tasks):
        done.extend((function, task.shard.number) for task in tasks)
        return [function(task) for task in tasks]

    calibration.compute_moments(pending, execute_and_count, NullProgress())
    assert [number for function, number in done if function is compute_shard_moments] == [0, 2, 3, 4, 5]
    path = context.calibration.moments(Side.SOURCE, 0)
    assert Moments.from_bytes(read(path)).images == 1


def test_compute_moments_merges_many_shards_into_few_blocks_of_neighbours(make_job, monkeypatch):
    context = open_run(make_job(), OPTIONS)
    pending = calibration.make_moments_tasks(context.job, context.calibration, True, context.excluded_folders)
    every_block, _ = calibration.compute_moments(pending, lambda f, t: [f(task) for task in t], NullProgress())
    monkeypatch.setattr(stored_moments, "MAX_MOMENT_BLOCKS", 4)
    blocks, _ = calibration.compute_moments(pending, lambda f, t: [f(task) for task in t], NullProgress())
    assert [block.images for block in blocks] == [2, 2, 2]
    assert torch.equal(blocks[1].scatter, every_block[2].merge(every_block[3]).scatter)


def test_unpaired_and_self_calibration_use_every_photo(make_job, tmp_path):
    unpaired = make_job(calibration={"reference": str(tmp_path / "natural"), "restored": str(tmp_path / "restored")})
    alone = make_job(calibration={"degradation": "blur:sigma=1", "limit": 4})
    for job, images in ((unpaired, 6), (alone, 4)):
        context = open_run(job, OPTIONS)
        pending = calibration.make_moments_tasks(job, context.calibration, True, context.excluded_folders)
        source, reference = calibration.compute_moments(pending, lambda f, t: [f(task) for task in t], NullProgress())
        assert [sum(block.images for block in side) for side in (source, reference)] == [images, images]
        transport = fit_and_store_map(job, context.calibration, context.models.autoencoder, source, reference)
        assert transport.info.wasserstein2 > 0
        assert transport.info.shrinkage_se == job.calibration_kind.default_shrinkage_se
        assert transport.info.calibration == job.calibration_kind
        assert transport.info.standard_error >= 0
        assert 0 <= transport.info.shrinkage_factor <= 1
        assert 1 < transport.info.effective_images <= images


def test_mixture_map_is_fitted_from_binned_moments_that_resume(make_job, tmp_path):
    """Bitwise the same in any order of completion; the moments of a single map are stored beside the binned ones."""
    maps = []
    for place in ("a", "b"):
        context = open_run(make_job(run=str(tmp_path / place), transport={"mixture_components": 3}), OPTIONS)
        job, paths = context.job, context.calibration
        pending = calibration.make_moments_tasks(job, paths, True, context.excluded_folders)
        for task in pending[:2]:
            compute_shard_moments(task)
        done = []

        def execute_backwards(function, tasks, done=done):
            done.extend(task.shard.number for task in tasks if function is compute_shard_moments)
            return [function(task) for task in reversed(tasks)]

        source, reference = calibration.compute_moments(pending, execute_backwards, NullProgress())
        assert done == [2, 3, 4, 5]
        binned = calibration.read_map_statistics(pending)
        assert [side.images for side in binned] == [6, 6]
        shard = BinnedMoments.from_bytes(read(paths.map_statistics(Side.SOURCE, 0)))
        assert Moments.from_bytes(read(paths.moments(Side.SOURCE, 0))).to_bytes() == shard.moments().to_bytes()
        maps.append(fit_and_store_map(job, paths, context.models.autoencoder, source, reference, binned))
    assert maps[0].to_bytes() == maps[1].to_bytes() == read(paths.map())
    assert (maps[0].info.kind, len(maps[0].parameters["matrix"])) == ("mixture:components=3", 3)


def test_compute_moments_without_one_usable_photo_is_refused(make_job, tmp_path):
    job = make_job()
    for path in (tmp_path / "natural").rglob("*.png"):
        path.write_bytes(b"no photo")
    context = open_run(job, OPTIONS)
    pending = calibration.make_moments_tasks(job, context.calibration, True, context.excluded_folders)
    with pytest.raises(NothingFoundError, match="not one photo of the source side"):
        calibration.compute_moments(pending, lambda f, t: [f(task) for task in t], NullProgress())
