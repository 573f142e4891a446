"""Output folders that do not tell names apart by case, as on disks of Windows and macOS and on their shares."""

import pytest
from PIL import Image

from pipeline.errors import RunError
from pipeline.runs import case_collisions as casing
from pipeline.runs.case_collisions import ignores_case, meeting
from pipeline.storage.objects import put
from tests.support.in_process_pool import run_inline


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
def test_names_that_meet(names, expected):
    assert meeting(lambda: iter(names)) == expected


def test_hashes_that_end_in_zeros_are_hashes_too(monkeypatch):
    monkeypatch.setattr(casing, "_hash", lambda name: name.encode().ljust(16, b"\0"))
    assert meeting(lambda: iter(["B.png", "a.png", "b.png"])) == ("B.png", "b.png")


def test_this_disk_tells_case(folder):
    put(f"{folder}/_deepot.json", b"{}")
    assert not ignores_case(folder, "_deepot.json")


def test_photos_that_would_be_one_file_are_refused_before_any_is_lost(job_for, tmp_path, monkeypatch):
    job = job_for()
    monkeypatch.setattr(casing, "exists", lambda _: True)
    assert run_inline(job).ok == 6
    Image.new("RGB", (40, 30)).save(tmp_path / "restored" / "PHOTO 01.png")
    with pytest.raises(RunError, match=r"'PHOTO 01.png' and 'photo 01.png' would be one file there"):
        run_inline(job)
    monkeypatch.undo()
    assert run_inline(job).ok == 7
