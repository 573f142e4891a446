"""A review from the page to the run that obeys it: rejected photos are originals until they are accepted again."""

import json
import re
import shutil
from types import SimpleNamespace

import pytest
import yaml

from jobs.cli import main
from pipeline.config.loading import parse_job
from pipeline.errors import ConfigError, RunError
from pipeline.maintenance import verify_run
from pipeline.progress import NullProgress
from pipeline.review import match_decisions, read_decision_records, read_review, record_decisions, write_review_page
from pipeline.runs import RunPaths, list_committed_shards, read_manifest
from pipeline.sources import read_photo
from pipeline.stages import RunOptions
from pipeline.storage import list_names, read
from tests.support.in_process_pool import run_in_process, without_ray
from tests.support.json_commands import run_json_command
from tests.support.photos import make_photo, small_job_config

REJECTED = {"photo 01.png", "sub/photo 03.png"}


def set_up(folder, **changes):
    """Run a job over six photos and write its review page."""
    folder.mkdir(exist_ok=True)
    config = small_job_config(folder, 6, 6, **changes)
    (folder / "job.yaml").write_text(yaml.safe_dump(config))
    job = parse_job(config)
    run = RunPaths(run_in_process(job).run)
    page = write_review_page(run, str(folder / "review.html"), "deepot run job.yaml --decisions decisions.json")
    return SimpleNamespace(folder=folder, job=job, run=run, review=page.review, decisions=folder / "decisions.json")


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory):
    return set_up(tmp_path_factory.mktemp("review") / "archive")


@pytest.fixture
def archive(reviewed, tmp_path):
    """A copy of the reviewed run, under the path where it was made."""
    shutil.copytree(reviewed.folder, tmp_path / "kept")
    yield reviewed
    shutil.rmtree(reviewed.folder)
    shutil.copytree(tmp_path / "kept", reviewed.folder)


def decide(archive, rejected=REJECTED, others="accepted", **changes):
    """Save decisions about all photos, as the page does."""
    content = archive.review.model_dump(mode="json")
    for photo in content["photos"]:
        photo |= {"decision": "rejected" if photo["file_name"] in rejected else others}
        photo |= changes if photo["file_name"] in rejected else {}
    archive.decisions.write_text(json.dumps(content))
    return str(archive.decisions)


def run_again(archive, decisions=None, **options):
    return run_in_process(archive.job, RunOptions(allow_code=True, decisions=decisions, **options))


def rows_of(archive):
    return {row["file_name"]: row for row in read_manifest(archive.run).to_pylist()}


def results_of(archive):
    return {name: read(row["output_uri"]) for name, row in rows_of(archive).items()}


def originals_of(archive):
    return {name: read(row["input_uri"]) for name, row in rows_of(archive).items()}


def test_page_shows_the_sample_and_holds_the_decisions_to_make(reviewed):
    page = (reviewed.folder / "review.html").read_text()
    assert page.count('<figure class="viewer') == 6
    data = json.loads(re.search(r'id="review-data">(.*?)</script>', page)[1])
    assert data["review"] == reviewed.review.model_dump(mode="json")
    assert {photo["decision"] for photo in data["review"]["photos"]} == {"undecided"}
    rows = rows_of(reviewed)
    assert all(rows[photo.file_name]["output_sha256"] == photo.result_sha256 for photo in reviewed.review.photos)


def test_rejected_photos_get_the_bytes_of_their_originals_until_they_are_accepted(archive):
    before, rows_before, originals = results_of(archive), rows_of(archive), originals_of(archive)
    result = run_again(archive, decide(archive))
    assert (result.ok, result.rejected, result.failed, result.inputs, result.complete) == (4, 2, 0, 6, True)
    assert results_of(archive) == before | {name: originals[name] for name in REJECTED}
    rows = rows_of(archive)
    for name, row in rows.items():
        assert row["status"] == ("rejected" if name in REJECTED else "ok")
        assert row["output_uri"] == rows_before[name]["output_uri"]
    rejected = rows["photo 01.png"]
    assert rejected["output_sha256"] == rejected["input_sha256"] and rejected["output_bytes"] == rejected["input_size"]
    assert (rejected["alpha"], rejected["transport_mse"], rejected["error_code"]) == (None, None, None)
    assert verify_run(archive.run, NullProgress()).findings == (), "the copies are checked, too"
    assert json.loads(read(archive.run.success_marker))["rejected"] == 2
    assert b">rejected<" in read(archive.run.report)
    for decisions in (None, str(archive.decisions)):
        assert run_again(archive, decisions).done_now == 0, "nothing is left to do, with the same decisions or without"
    assert len([name for name in list_names(archive.run.uri) if name.startswith("decisions-")]) == 1
    result = run_again(archive, decide(archive, {"photo 01.png"}))
    assert (result.ok, result.rejected) == (5, 1)
    assert results_of(archive) == before | {"photo 01.png": originals["photo 01.png"]}, "one is a result again"


def test_undecided_photos_stay_as_they_are(archive):
    run_again(archive, decide(archive))
    assert run_again(archive, decide(archive, set(), others="undecided")).done_now == 0
    assert {name for name, row in rows_of(archive).items() if row["status"] == "rejected"} == REJECTED


@pytest.mark.parametrize("stop", ["before requeueing", "while requeueing", "before processing"])
def test_decisions_of_a_run_that_was_killed_are_obeyed_by_the_next(archive, monkeypatch, stop):
    originals, before, decisions = originals_of(archive), results_of(archive), decide(archive)
    places = {
        "before requeueing": "pipeline.stages.driver.requeue_overruled",
        "while requeueing": "pipeline.runs.requeue.delete",
        "before processing": "pipeline.stages.driver._process_shards",
    }

    def kill(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(places[stop], kill)
        run_again(archive, decisions)
    assert len(read_decision_records(archive.run)) == 6, "the decisions were recorded first"
    again = decisions if stop == "before processing" else None
    result = run_again(archive, again)
    assert (result.ok, result.rejected, result.complete) == (4, 2, True)
    assert results_of(archive) == before | {name: originals[name] for name in REJECTED}


def test_photo_that_changes_after_it_was_rejected_is_processed(archive):
    run_again(archive, decide(archive))
    make_photo(9, width=50).save(archive.folder / "restored" / "photo 01.png")
    assert run_again(archive).done_now == 1
    statuses = [(row["file_name"], row["status"]) for row in read_manifest(archive.run).to_pylist()]
    assert ("photo 01.png", "ok") in statuses and ("sub/photo 03.png", "rejected") in statuses
    with pytest.raises(ConfigError, match=r"photo 01\.png .*is not its result any more .*'deepot review'"):
        run_again(archive, str(archive.decisions))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"result_sha256": "0" * 64},
            ConfigError,
            "was reviewed, 000000000000…, is not its result any more",
        ),
        ({"input": "/elsewhere.png"}, ConfigError, r"\(/elsewhere\.png\) is not a photo of"),
    ],
)
def test_decisions_about_other_results_or_photos_are_refused(archive, changes, error, message):
    with pytest.raises(error, match=message):
        run_again(archive, decide(archive, {"photo 01.png"}, **changes))
    assert read_decision_records(archive.run) == {}


def test_decisions_about_another_run_are_refused(archive):
    other = archive.job.model_copy(update={"transport": archive.job.transport.model_copy(update={"alpha": 0.25})})
    with pytest.raises(RunError, match=r"is not the folder of a run"):
        run_in_process(other, RunOptions(allow_code=True, decisions=decide(archive)))
    assert len(list_names(str(archive.folder / "enhanced" / "_deepot"))) == 1, "nothing was written"


def test_rejection_is_refused_if_another_result_of_the_shard_would_be_lost(archive):
    shards = {name: row["shard"] for name, row in rows_of(archive).items()}
    (mate,) = (name for name in shards if shards[name] == shards["photo 01.png"] and name != "photo 01.png")
    (archive.folder / "restored" / mate).unlink()
    with pytest.raises(RunError, match=f"{mate} is missing from the input, and shard .* its result would be lost"):
        run_again(archive, decide(archive, {"photo 01.png"}))
    assert read_decision_records(archive.run) == {} and rows_of(archive)[mate]["status"] == "ok"
    assert run_again(archive).complete


def test_photo_that_goes_missing_after_its_decision_was_recorded_keeps_its_shard(archive):
    review = read_review(decide(archive, {"photo 01.png"}), archive.run)
    assert record_decisions(archive.run, match_decisions(archive.run, review)), "as by a driver that is killed then"
    (archive.folder / "restored" / "photo 01.png").unlink()
    commits = list_committed_shards(archive.run)
    result = run_again(archive)
    assert (result.ok, result.rejected, result.done_now, result.missing) == (6, 0, 0, 1)
    assert list_committed_shards(archive.run) == commits


def test_rejection_is_refused_where_results_lose_metadata(archive):
    config = small_job_config(archive.folder)
    job = parse_job(config | {"output": config["output"] | {"metadata": "strip-gps"}})
    run = RunPaths(run_in_process(job, RunOptions(allow_code=True, overwrite=True)).run)
    page = write_review_page(run, str(archive.folder / "review.html"), "")
    stripped = SimpleNamespace(**vars(archive) | {"job": job, "run": run, "review": page.review})
    with pytest.raises(ConfigError, match=r"output\.metadata is strip-gps: accept these photos, or run the job with"):
        run_again(stripped, decide(stripped))
    assert run_again(stripped, decide(stripped, set())).rejected == 0, "photos may be accepted"


def test_original_in_another_format_keeps_its_own_name_and_takes_the_place_of_the_result(tmp_path):
    archive = set_up(tmp_path / "archive", output={"uri": str(tmp_path / "archive" / "enhanced"), "format": "tiff"})
    originals, results = originals_of(archive), results_of(archive)
    run_again(archive, decide(archive))
    uris = {name: row["output_uri"] for name, row in rows_of(archive).items()}
    assert uris["photo 01.png"].endswith("enhanced/photo 01.png")
    assert uris["photo 02.png"].endswith("enhanced/photo 02.png.tif")
    assert results_of(archive) == results | {name: originals[name] for name in REJECTED}
    photos = {str(path) for path in (archive.folder / "enhanced").rglob("photo*")}
    assert photos == set(uris.values()), "nothing is left of the rejected results"
    run_again(archive, decide(archive, set()))
    assert results_of(archive) == results
    assert len([*(archive.folder / "enhanced").rglob("photo*")]) == 6, "nor of the originals, once they are accepted"


def test_file_that_somebody_put_in_the_place_of_a_rejected_result_stays(tmp_path):
    archive = set_up(tmp_path / "archive", output={"uri": str(tmp_path / "archive" / "enhanced"), "format": "tiff"})
    edited = archive.folder / "enhanced" / "photo 01.png.tif"
    edited.write_bytes(b"retouched by hand")
    run_again(archive, decide(archive))
    assert edited.read_bytes() == b"retouched by hand"


@pytest.mark.parametrize("layout", ["webdataset", "parquet"])
def test_originals_are_packed_as_results_are(tmp_path, layout):
    output = {"uri": str(tmp_path / "archive" / "enhanced"), "layout": layout, "format": "jpeg:quality=90"}
    archive = set_up(tmp_path / "archive", output=output)
    originals, before = originals_of(archive), {name: row["output_sha256"] for name, row in rows_of(archive).items()}
    assert run_again(archive, decide(archive)).rejected == 2
    rows = rows_of(archive)
    for name in REJECTED:
        assert read_photo(rows[name]["output_uri"]) == originals[name]
    assert {name: row["output_sha256"] for name, row in rows.items() if name not in REJECTED} == {
        name: sha256 for name, sha256 in before.items() if name not in REJECTED
    }


def test_commands_write_the_page_obey_the_decisions_and_state_the_bound(archive, monkeypatch, capsys):
    monkeypatch.chdir(archive.folder)
    status, page = run_json_command(capsys, "review", "job.yaml", "--photos", "4", "--page", "desk.html")
    assert (status, page["photos"], page["unusable"]) == (0, 4, [])
    text = (archive.folder / "desk.html").read_text()
    assert text.count("<figure") == 4 and "deepot run job.yaml --decisions decisions.json" in text
    decide(archive)
    assert main(["review", "job.yaml", "--decisions", "decisions.json"]) == 0
    shown = capsys.readouterr().out
    assert "photos   6: 4 accepted, 2 rejected, 0 undecided" in shown
    assert "rejects  All 6 changed photos of the run are decided: 4 accepted, 2 rejected." in shown
    with without_ray():
        status, done = run_json_command(capsys, "run", "job.yaml", "--allow-code", "--decisions", "decisions.json")
    assert (status, done["ok"], done["rejected"]) == (0, 4, 2)
    assert main(["status", "job.yaml"]) == 0
    assert "6 of 6: 4 ok, 2 rejected, 0 skipped, 0 failed" in capsys.readouterr().out
    status, stated = run_json_command(capsys, "review", archive.run.uri, "--decisions", "decisions.json")
    assert (status, stated["rejects_at_most"], stated["changed_photos"]) == (0, 2, 6), "also after they were obeyed"
    assert main(["review", "job.yaml"]) == 2
    assert "has no photos to review" in capsys.readouterr().err, "all of them are decided"
