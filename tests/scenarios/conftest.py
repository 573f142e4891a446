"""Fixtures of the packages whose rooms these tests cross."""

from tests.deepot.conftest import made, sharpening, smooth
from tests.pipeline.conftest import folder, job_for

__all__ = ["folder", "job_for", "made", "sharpening", "smooth"]
