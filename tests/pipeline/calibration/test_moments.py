"""Computing moments on workers that die over some photos."""

import pytest

from pipeline.calibration import compute_moments, make_crash_result, make_moments_tasks
from pipeline.errors import RunError
from pipeline.progress import NullProgress
from pipeline.stages import RunOptions, open_run


@pytest.fixture
def compute(make_job):
    """Computes the moments of 12 photos on workers that die over some of them; returns the photos of each call."""

    def run(crashes, calls):
        context = open_run(
            make_job(images=12, calibration={"degradation": "blur:sigma=1"}), RunOptions(allow_code=True)
        )
        tasks = make_moments_tasks(context.job, context.calibration, True, context.excluded_folders)

        def execute(function, tasks):
            for task in tasks:
                calls.append(len(task.shard.entries))
                dies = any(crashes(entry) for entry in task.shard.entries)
                yield make_crash_result(task) if dies else function(task)

        return compute_moments(tasks, execute, NullProgress())

    return run


def test_compute_moments_with_workers_that_always_die_stops_the_job(compute):
    calls = []
    with pytest.raises(RunError, match=r"died over 8 photos of the calibration, each alone.*look at the workers"):
        compute(lambda entry: True, calls)
    assert len(calls) <= 12 + 2 * 8


def test_compute_moments_leaves_out_every_photo_that_crashes_a_worker(compute, caplog):
    source, reference = compute(lambda entry: not entry.key.endswith("5.png"), [])
    assert caplog.text.count("worker_died") == 11
    assert sum(block.images for block in source) == sum(block.images for block in reference) == 1
