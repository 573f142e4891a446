"""Runs whose results are marked: the same bytes on any number of workers, whatever becomes of the photos later."""

import json
from pathlib import Path

from pipeline.config.loading import parse_job
from pipeline.maintenance import find_orphans, verify_run
from pipeline.progress import NullProgress
from pipeline.review import write_review_page
from pipeline.runs import RunPaths, read_manifest
from pipeline.stages import RunOptions, run_job
from pipeline.storage import read
from tests.pipeline.imageio.formats.test_c2pa import CARRIERS, make_store
from tests.support.in_process_pool import run_in_process
from tests.support.photos import small_job_config

OPTIONS = RunOptions(allow_code=True)
STORE = make_store()


def make_job(folder, **changes):
    """A job over seven photos, one of which has content credentials."""
    config = small_job_config(folder, 6, 4, **changes)
    (folder / "restored" / "signed.jpg").write_bytes(CARRIERS["JPEG"](STORE))
    return parse_job(config)


def rows_of(result):
    return {row["file_name"]: row for row in read_manifest(RunPaths(result.run)).to_pylist()}


def test_results_have_the_same_bytes_on_one_two_and_four_workers(tmp_path):
    seen = {}
    for workers in (0, 1, 2, 4):
        job = make_job(
            tmp_path,
            compute={"pool": "local", "workers": max(1, workers), "images_per_shard": 1, "dtype": "float32"},
            output={"uri": str(tmp_path / f"out-{workers}")},
        )
        rows = rows_of(run_job(job, OPTIONS) if workers else run_in_process(job, OPTIONS))
        seen[workers] = {name: (row["output_sha256"], row["marks"], row["credentials"]) for name, row in rows.items()}
        files = {
            path.relative_to(tmp_path / f"out-{workers}") for path in (tmp_path / f"out-{workers}").rglob("*.c2pa")
        }
        assert files == {Path("signed.jpg.c2pa")}
    assert len(seen[0]) == 7 and {marks for _, marks, _ in seen[0].values()} == {"xmp+exif"}
    assert seen[1] == seen[2] == seen[4] == seen[0]


def test_marks_decide_the_run_and_not_the_map(tmp_path):
    results = [
        run_in_process(make_job(tmp_path, output={"uri": str(tmp_path / marks), "marks": marks}), OPTIONS)
        for marks in ("hash", "off")
    ]
    rows = [rows_of(result) for result in results]
    assert {row["map_sha256"] for each in rows for row in each.values()} == {rows[0]["signed.jpg"]["map_sha256"]}
    assert results[0].run != results[1].run
    assert [{row["marks"] for row in each.values()} for each in rows] == [{"xmp+exif"}, {"none"}]
    assert all(b"photo 0" not in read(row["output_uri"]) for row in rows[0].values()), "a hash states no name"


def test_rejected_photo_is_its_input_without_a_mark(tmp_path):
    job = make_job(tmp_path)
    run = RunPaths(run_in_process(job, OPTIONS).run)
    review = write_review_page(run, str(tmp_path / "review.html"), "deepot run").review.model_dump(mode="json")
    for photo in review["photos"]:
        photo["decision"] = "rejected" if photo["file_name"] == "signed.jpg" else "accepted"
    (tmp_path / "decisions.json").write_text(json.dumps(review))
    before = {row["file_name"]: row for row in read_manifest(run).to_pylist()}
    run_in_process(job, RunOptions(allow_code=True, decisions=str(tmp_path / "decisions.json")))
    rows = {row["file_name"]: row for row in read_manifest(run).to_pylist()}
    rejected = rows.pop("signed.jpg")
    assert (rejected["status"], rejected["marks"]) == ("rejected", "none")
    assert rejected["credentials"] == "in the photo itself"
    assert read(rejected["output_uri"]) == (tmp_path / "restored" / "signed.jpg").read_bytes()
    assert all(row["output_sha256"] == before[name]["output_sha256"] for name, row in rows.items())
    assert verify_run(run, NullProgress()).findings == ()


def test_verification_and_garbage_collection_leave_credentials_alone(tmp_path):
    result = run_in_process(make_job(tmp_path), OPTIONS)
    assert verify_run(RunPaths(result.run), NullProgress()).findings == ()
    assert list(find_orphans(RunPaths(result.run), changed_before=2**40)) == []
    assert (tmp_path / "enhanced" / "signed.jpg.c2pa").read_bytes() == STORE
    again = run_in_process(make_job(tmp_path), OPTIONS)
    assert rows_of(again) == rows_of(result), "nothing is done twice"
