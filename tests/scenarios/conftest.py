"""Fixtures of the packages whose rooms these tests cross."""

from tests.deepot.conftest import make_variants, sharpening_map, smooth_autoencoder
from tests.pipeline.conftest import make_job, storage_folder
from tests.pipeline.workers.conftest import make_worker_config

__all__ = ["make_job", "make_variants", "make_worker_config", "sharpening_map", "smooth_autoencoder", "storage_folder"]
