"""Case-insensitive output folders, as on disks of Windows and macOS and on their shares."""

import pytest
from PIL import Image

from pipeline.errors import RunError
from pipeline.runs import case_collisions
from pipeline.runs.case_collisions import find_case_collision
from tests.support.in_process_pool import run_in_process


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], None),
        (["a.png"], None),
        (["a.png", "b.png", "sub/a.png", "a.png"], None),
        (["b.png", "A.png", "c.png", "a.png"], ("A.png", "a.png")),
        (["x/Straße.tif", "x/STRASSE.tif"], ("x/STRASSE.tif", "x/Straße.tif")),
        (["e\u0301.png", "\u00e9.png"], ("e\u0301.png", "\u00e9.png")),
    ],
)
def test_find_case_collision_names_two_that_differ_in_case_or_accents_only(names, expected):
    assert find_case_collision(lambda: iter(names)) == expected


def test_find_case_collision_takes_hashes_that_end_in_zeros(monkeypatch):
    monkeypatch.setattr(case_collisions, "hash_name", lambda name: name.encode().ljust(16, b"\0"))
    assert find_case_collision(lambda: iter(["B.png", "a.png", "b.png"])) == ("B.png", "b.png")


def test_run_refuses_photos_whose_results_would_be_one_file(make_job, tmp_path, monkeypatch):
    job = make_job()
    monkeypatch.setattr(case_collisions, "is_case_insensitive", lambda _: True)
    assert run_in_process(job).ok == 6
    Image.new("RGB", (40, 30)).save(tmp_path / "restored" / "PHOTO 01.png")
    with pytest.raises(RunError, match=r"'PHOTO 01.png' and 'photo 01.png' would be one file there"):
        run_in_process(job)
    monkeypatch.undo()
    assert run_in_process(job).ok == 7
