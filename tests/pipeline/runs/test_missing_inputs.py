"""Photos that are no longer where they came from: marked once, unmarked when they come back, never lost."""

import json

import pytest

from pipeline.curation.query import select
from pipeline.errors import RunError, StorageError
from pipeline.runs import missing_inputs as module
from pipeline.runs.missing_inputs import vanished
from pipeline.runs.paths import Run
from pipeline.runs.plan import Outlook, extend, find_images, planned
from pipeline.storage.folders import names
from pipeline.storage.objects import Entry, create, read
from tests.support.in_process_pool import run_inline


def entries(keys, size=1):
    return [Entry(f"u/{key}", key, size, "", 0.0) for key in sorted(keys)]


def marks(run):
    return sorted(name for name in names(run.uri) if name.startswith("vanished"))


def test_what_a_listing_no_longer_holds_is_marked_until_it_is_back(folder):
    run = Run(folder)
    assert extend(run, entries("abcdef"), 2).vanished == 0
    assert marks(run) == []
    assert extend(run, entries("bdeg"), 2) == Outlook(4, 4, 1, 1, 1, vanished=3, marked=3)
    assert list(vanished(run)) == ["a", "c", "f"], "at the head, in the middle and at the end of the listing"
    assert extend(run, entries("bdeg"), 2) == Outlook(4, 4, vanished=3)
    assert marks(run) == ["vanished-0001.parquet"], "nothing changed, nothing written"
    first = read(run.vanished(1))
    assert extend(run, entries("abdeg"), 2) == Outlook(5, 5, vanished=2, marked=1)
    assert list(vanished(run)) == ["c", "f"]
    assert extend(run, entries("bcdefg"), 2) == Outlook(6, 6, vanished=1, marked=3)
    assert list(vanished(run)) == ["a"]
    assert read(run.vanished(1)) == first, "marks are added to and never changed"
    assert sum(planned(run).values()) == 7, "coming back makes no new work"


def test_a_photo_of_several_versions_vanishes_once_and_comes_back_changed(tmp_path):
    run = Run(str(tmp_path))
    for size in (1, 2, 3):
        assert extend(run, entries("ab", size)).vanished == 0
    assert extend(run, entries("b", 3)) == Outlook(1, 3, vanished=1, marked=1)
    assert extend(run, [*entries("a", 4), *entries("b", 3)]) == Outlook(2, 7, 1, 4, 1, vanished=0, marked=1)


def test_a_listing_that_breaks_off_marks_nothing(tmp_path):
    def broken():
        yield from entries("a")
        raise StorageError("gone")

    run = Run(str(tmp_path))
    extend(run, entries("abc"))
    with pytest.raises(StorageError):
        extend(run, broken())
    assert list(vanished(run)) == []


def test_many_marks_are_written_in_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROWS", 3)
    run, keys = Run(str(tmp_path)), [f"{number:03d}" for number in range(100)]
    extend(run, entries(keys))
    extend(run, entries(keys[::10]))
    assert list(vanished(run)) == [key for key in keys if not key.endswith("0")]


def test_of_two_drivers_one_writes_the_marks(tmp_path, monkeypatch):
    run = Run(str(tmp_path))
    extend(run, entries("abc"))
    monkeypatch.setattr(module, "create", lambda uri, data: create(uri, b"another driver's") and False)
    with pytest.raises(RunError, match="another driver"):
        extend(run, entries("a"))


def test_an_empty_place_is_an_error_and_no_disappearance(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"x")
    run = Run(str(tmp_path / "run"))
    extend(run, find_images(str(tmp_path / "photos"), "input"))
    (tmp_path / "photos" / "a.png").unlink()
    with pytest.raises(Exception, match="no images found"):
        extend(run, find_images(str(tmp_path / "photos"), "input"))
    assert list(vanished(run)) == []


def test_a_run_tells_of_vanished_photos_and_keeps_their_results(job_for, tmp_path):
    job = job_for()
    first = run_inline(job)
    assert first.vanished == 0
    (tmp_path / "restored" / "photo 01.png").unlink()
    again = run_inline(job)
    assert (again.vanished, again.done_now, again.inputs, again.complete) == (1, 0, 6, True)
    assert again.counts["vanished"] == 1
    run = Run(again.run)
    assert json.loads(read(run.success))["vanished"] == 1
    page = read(run.report).decode()
    assert "<b>1</b>vanished" in page
    assert "<li>photo 01.png</li>" in page
    assert (tmp_path / "enhanced" / "photo 01.png").exists()
    present = select(run, "file_name NOT IN (FROM vanished)")
    assert len(select(run)) == 6
    assert set(select(run)["file_name"].to_pylist()) - set(present["file_name"].to_pylist()) == {"photo 01.png"}
