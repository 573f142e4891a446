"""Workers over small photos, without Ray."""

import pytest

from pipeline import calibration
from pipeline.calibration.maps import find_map_uri, fit_and_store_map
from pipeline.progress import NullProgress
from pipeline.sources.find import find_images
from pipeline.stages import RunOptions, open_run
from pipeline.workers.work_item import WorkerConfig


@pytest.fixture
def make_worker_config(make_job):
    """Fits the map of a job; returns the configuration of its workers, and the entries of its input."""

    def make(**changes):
        context = open_run(make_job(**changes), RunOptions(allow_code=True))
        job = context.job
        pending = calibration.make_moments_tasks(job, context.calibration, True, context.excluded_folders)
        sides = calibration.compute_moments(
            pending, lambda function, tasks: [function(task) for task in tasks], NullProgress()
        )
        transport = fit_and_store_map(job, context.calibration, context.models.autoencoder, *sides)
        config = WorkerConfig(
            job,
            True,
            context.run,
            job.output.uri,
            context.fingerprint,
            find_map_uri(job, context.calibration),
            transport.sha256,
        )
        return config, tuple(find_images(job.input.images, "input", context.excluded_folders))

    return make
