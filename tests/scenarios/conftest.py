"""Fixtures of the packages whose rooms these tests cross."""

from tests.deepot.conftest import make_variants, sharpening_map, smooth_autoencoder
from tests.pipeline.conftest import make_job, storage_folder

__all__ = ["make_job", "make_variants", "sharpening_map", "smooth_autoencoder", "storage_folder"]
