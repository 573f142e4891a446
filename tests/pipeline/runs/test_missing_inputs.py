"""Planned photos that the input no longer contains: recorded once, and again when they come back."""

import json

import pytest

from pipeline.errors import RunError, StorageError
from pipeline.runs import missing_inputs
from pipeline.runs.missing_inputs import iter_missing_inputs
from pipeline.runs.paths import RunPaths
from pipeline.runs.plan import count_planned_images
from pipeline.runs.planning import PlanSummary, extend_plan
from pipeline.sources.find import find_images
from pipeline.storage.folders import list_names
from pipeline.storage.objects import Entry, create_if_absent, read
from tests.support.in_process_pool import run_in_process
from tests.support.selections import select_rows


def entries(keys, size=1):
    return [Entry(f"u/{key}", key, size, "", 0.0) for key in sorted(keys)]


def list_presence_file_names(run):
    return sorted(name for name in list_names(run.uri) if name.startswith("missing"))


def test_extend_plan_records_photos_as_missing_until_they_are_back(storage_folder):
    run = RunPaths(storage_folder)
    assert extend_plan(run, entries("abcdef"), 2).missing == 0
    assert list_presence_file_names(run) == []
    assert extend_plan(run, entries("bdeg"), 2) == PlanSummary(4, 4, 1, 1, 1, missing=3, presence_changes=3)
    assert list(iter_missing_inputs(run)) == ["a", "c", "f"], "at the head, in the middle and at the end of the listing"
    assert extend_plan(run, entries("bdeg"), 2) == PlanSummary(4, 4, missing=3)
    assert list_presence_file_names(run) == ["missing-0001.parquet"], "without changes nothing is written"
    first = read(run.presence_records(1))
    assert extend_plan(run, entries("abdeg"), 2) == PlanSummary(5, 5, missing=2, presence_changes=1)
    assert list(iter_missing_inputs(run)) == ["c", "f"]
    assert extend_plan(run, entries("bcdefg"), 2) == PlanSummary(6, 6, missing=1, presence_changes=3)
    assert list(iter_missing_inputs(run)) == ["a"]
    assert read(run.presence_records(1)) == first, "presence files are added and never changed"
    assert sum(count_planned_images(run).values()) == 7, "a photo that comes back is not planned again"


def test_extend_plan_counts_a_photo_of_several_versions_once(tmp_path):
    run = RunPaths(str(tmp_path))
    for size in (1, 2, 3):
        assert extend_plan(run, entries("ab", size)).missing == 0
    assert extend_plan(run, entries("b", 3)) == PlanSummary(1, 3, missing=1, presence_changes=1)
    assert extend_plan(run, [*entries("a", 4), *entries("b", 3)]) == PlanSummary(
        2, 7, 1, 4, 1, missing=0, presence_changes=1
    )


def test_extend_plan_of_an_interrupted_listing_records_nothing(tmp_path):
    def interrupted():
        yield from entries("a")
        raise StorageError("not now")

    run = RunPaths(str(tmp_path))
    extend_plan(run, entries("abc"))
    with pytest.raises(StorageError):
        extend_plan(run, interrupted())
    assert list(iter_missing_inputs(run)) == []


def test_extend_plan_writes_many_records_in_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(missing_inputs, "ROWS_PER_BATCH", 3)
    run, keys = RunPaths(str(tmp_path)), [f"{number:03d}" for number in range(100)]
    extend_plan(run, entries(keys))
    extend_plan(run, entries(keys[::10]))
    assert list(iter_missing_inputs(run)) == [key for key in keys if not key.endswith("0")]


def test_extend_plan_fails_where_another_driver_wrote_the_records(tmp_path, monkeypatch):
    run = RunPaths(str(tmp_path))
    extend_plan(run, entries("abc"))
    monkeypatch.setattr(
        missing_inputs, "create_if_absent", lambda uri, data: create_if_absent(uri, b"another driver's") and False
    )
    with pytest.raises(RunError, match="another driver"):
        extend_plan(run, entries("a"))


def test_an_empty_input_is_an_error_and_records_nothing(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"x")
    run = RunPaths(str(tmp_path / "run"))
    extend_plan(run, find_images(str(tmp_path / "photos"), "input"))
    (tmp_path / "photos" / "a.png").unlink()
    with pytest.raises(Exception, match="no images found"):
        extend_plan(run, find_images(str(tmp_path / "photos"), "input"))
    assert list(iter_missing_inputs(run)) == []


def test_run_reports_missing_photos_and_keeps_their_results(make_job, tmp_path):
    job = make_job()
    first = run_in_process(job)
    assert first.missing == 0
    (tmp_path / "restored" / "photo 01.png").unlink()
    again = run_in_process(job)
    assert (again.missing, again.done_now, again.inputs, again.complete) == (1, 0, 6, True)
    assert again.counts["missing"] == 1
    run = RunPaths(again.run)
    assert json.loads(read(run.success_marker))["missing"] == 1
    page = read(run.report).decode()
    assert "<b>1</b>missing" in page
    assert "<li>photo 01.png</li>" in page
    assert (tmp_path / "enhanced" / "photo 01.png").exists()
    present = select_rows(run, "file_name NOT IN (FROM missing)")
    assert len(select_rows(run)) == 6
    assert set(select_rows(run)["file_name"].to_pylist()) - set(present["file_name"].to_pylist()) == {"photo 01.png"}
