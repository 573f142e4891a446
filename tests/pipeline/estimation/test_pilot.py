"""How the time of a pilot run is distributed over its photos."""

import pytest

from pipeline.estimation.pilot import time_photos
from pipeline.runs import PHASES


def row(number, **seconds):
    phases = {f"seconds_{phase}": 0.0 for phase in PHASES} | {f"seconds_{key}": value for key, value in seconds.items()}
    return {"input_uri": str(number), "output_bytes": None, "status": "ok", "error_code": None} | phases


def test_time_photos_distributes_the_wall_time_in_proportion_to_the_phases():
    rows = [row(0, encode=1.0, write=1.0), row(1, encode=6.0)]
    assert [photo.seconds for photo in time_photos(rows, 4.0)] == pytest.approx([1.0, 3.0])


def test_time_photos_without_any_phase_gives_every_photo_an_equal_share():
    assert [photo.seconds for photo in time_photos([row(0), row(1), row(2)], 6.0)] == pytest.approx([2.0] * 3)
