"""The driver's side of the statistics, against workers that die on purpose."""

import pytest

from pipeline.calibration import moments as statistics
from pipeline.errors import RunError
from pipeline.progress import NullProgress
from pipeline.stages.driver import RunOptions, open_run


@pytest.fixture
def gather(make_job):
    """Gathers over 12 photos, by workers that die over some of them; says how many calls it took."""

    seen = []

    def do(deadly):
        calls = []
        opened = open_run(make_job(images=12, calibration={"degradation": "blur:sigma=1"}), RunOptions(allow_code=True))
        pending = statistics.make_moments_tasks(opened.job, opened.calibration, True, opened.excluded_folders)

        def execute(function, tasks):
            for task in tasks:
                calls.append(len(task.shard.entries))
                dies = any(deadly(entry) for entry in task.shard.entries)
                yield statistics.make_crash_result(task) if dies else function(task)

        try:
            statistics.compute_moments(pending, execute, NullProgress())
        finally:
            seen.append(len(calls))

    return do, seen


def test_workers_that_die_over_every_photo_stop_the_job(gather):
    do, seen = gather
    with pytest.raises(RunError, match=r"died over 8 photos of the calibration, each alone.*look at the workers"):
        do(lambda entry: True)
    assert seen[0] <= 12 + 2 * 8


def test_deadly_photos_are_left_out_however_many(gather, caplog):
    do, _ = gather
    do(lambda entry: not entry.key.endswith("5.png"))
    assert caplog.text.count("worker_died") == 11
