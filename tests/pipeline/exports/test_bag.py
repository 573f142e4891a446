"""Bags: valid by the Library of Congress's own validator, complete, and with the checksums of the run."""

import csv
import hashlib
import io
import json
import logging
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jobs.cli import main
from pipeline.errors import ConfigError, RunError
from pipeline.exports import ExportOptions, export_bag
from pipeline.progress import NullProgress
from pipeline.runs import RunPaths
from pipeline.storage import list_names, read
from tests.pipeline.provenance.conftest import write_run
from tests.pipeline.provenance.test_premis import schema  # noqa: F401 — a fixture
from tests.support.export_runs import add_export_row, make_export_run
from tests.support.json_commands import run_json_command

bagit = pytest.importorskip("bagit", reason="bagit is not installed, which validates bags")


def export(run, folder, *, originals=False, info=None, **options):
    return export_bag(
        run, ExportOptions(str(folder), **options), info or {}, originals=originals, progress=NullProgress()
    )


def run_of(folder, *names, status="ok", **changes):
    source = random.Random(0)
    rows = [add_export_row(folder, number, name, source, 0, status) for number, name in enumerate(names)]
    return write_run(folder, [rows], **changes), rows


def payload_of(folder):
    return {path.relative_to(folder / "data").as_posix(): path.read_bytes() for path in (folder / "data").rglob("*")
            if path.is_file()}  # fmt: skip


def check_collection(folder, seed, validate_premis, caplog):
    """Export a generated run with its originals, and check it by bagit and by its own rows."""
    run, rows = make_export_run(folder, seed)
    if not any(row["output_uri"] or row["input_sha256"] for row in rows):
        with pytest.raises(RunError, match="no photo can be exported"):
            export(run, folder / "bag", originals=True)
        return
    done = export(run, folder / "bag", originals=True)
    caplog.clear()
    with caplog.at_level(logging.WARNING, "bagit"):
        bagit.Bag(str(folder / "bag")).validate()
    assert not caplog.records, caplog.text
    results = [row for row in rows if row["output_uri"]]
    assert (done.photos, done.n_skipped) == (len(results), len(rows) - len(results))
    expected = [("results", row["output_sha256"]) for row in results]
    expected += [("originals", row["input_sha256"]) for row in rows if row["input_sha256"]]
    payload = payload_of(folder / "bag")
    found = [(name.partition("/")[0], hashlib.sha256(data).hexdigest()) for name, data in payload.items()]
    assert sorted(found) == sorted(expected)
    listed = list(csv.DictReader(io.StringIO((folder / "bag/metadata/files.csv").read_text())))
    assert {each["path"].removeprefix("data/") for each in listed} == set(payload)
    assert {each["file_name"] for each in listed} <= {row["file_name"] for row in rows}
    for document in (folder / "bag/metadata/premis").iterdir():
        validate_premis(document.read_bytes())


@pytest.mark.parametrize("seed", range(12))
def test_export_bag_of_generated_runs_is_valid(tmp_path, seed, schema, caplog):  # noqa: F811
    check_collection(tmp_path, seed, schema, caplog)


@pytest.mark.soak
def test_export_bag_of_200_generated_runs_is_valid(tmp_path, schema, caplog):  # noqa: F811
    for seed in range(100, 300):
        check_collection(tmp_path / str(seed), seed, schema, caplog)


def test_export_bag_has_rows_events_and_those_left_out(tmp_path):
    source = random.Random(1)
    rows = [add_export_row(tmp_path, number, f"box/{status}.jpg", source, 0, status)
            for number, status in enumerate(("ok", "rejected", "failed", "skipped"))]  # fmt: skip
    run = write_run(tmp_path, [rows])
    done = export(run, tmp_path / "bag", info={"Source-Organization": "Stadtarchiv Köln"})
    metadata = tmp_path / "bag/metadata"
    assert pq.read_table(metadata / "manifest.parquet")["file_name"].to_pylist() == sorted(
        row["file_name"] for row in rows
    )
    assert json.loads((metadata / "run.json").read_bytes())["job"]
    assert b"box/failed.jpg" in (metadata / "premis/00000.premis.xml").read_bytes()
    left_out = list(csv.DictReader(io.StringIO((metadata / "not-exported.csv").read_text())))
    assert [(row["file_name"], row["status"], row["error_code"]) for row in left_out] == [
        ("box/failed.jpg", "failed", "damaged"),
        ("box/skipped.jpg", "skipped", "too_large"),
    ]
    assert done.n_skipped == 2 and done.skipped[0] == ("box/failed.jpg", "failed: damaged: it ends at byte 7")
    bag = bagit.Bag(str(tmp_path / "bag"))
    assert bag.info["Source-Organization"] == "Stadtarchiv Köln" and bag.info["External-Identifier"] == "f" * 16
    assert (tmp_path / "bag/data/results/box/rejected.jpg").read_bytes() == Path(rows[1]["input_uri"]).read_bytes()


def test_export_bag_leaves_out_photos_that_are_not_those_of_their_rows(tmp_path):
    run, rows = run_of(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    Path(rows[0]["output_uri"]).write_bytes(b"changed")
    Path(rows[1]["output_uri"]).unlink()
    done = export(run, tmp_path / "bag")
    assert dict(done.skipped) == {
        "a.jpg": "the file has changed since the run: its SHA-256 differs from the manifest",
        "b.jpg": "the file no longer exists",
    }
    assert list(payload_of(tmp_path / "bag")) == ["results/c.jpg"]
    bagit.Bag(str(tmp_path / "bag")).validate()


def test_bag_with_a_changed_payload_is_not_valid(tmp_path):
    run, _ = run_of(tmp_path, "a.jpg")
    export(run, tmp_path / "bag")
    (tmp_path / "bag/data/results/a.jpg").write_bytes(b"changed")
    with pytest.raises(bagit.BagValidationError):
        bagit.Bag(str(tmp_path / "bag")).validate()


def test_export_bag_selects_rows(tmp_path):
    run, _ = run_of(tmp_path, "a.jpg", "b.jpg")
    assert export(run, tmp_path / "bag", where="file_name = 'b.jpg'").photos == 1
    assert list(payload_of(tmp_path / "bag")) == ["results/b.jpg"]


@pytest.mark.parametrize(
    ("folder", "message"),
    [("bag", "is not empty, it has 'old.txt'"), ("enhanced/bag", "is in the output folder"), (".", "or holds it")],
)
def test_export_bag_refuses_folders_that_are_in_use(tmp_path, folder, message):
    run, _ = run_of(tmp_path, "a.jpg")
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag/old.txt").write_text("kept")
    with pytest.raises(ConfigError, match=message):
        export(run, tmp_path / folder)
    assert [path.name for path in (tmp_path / "bag").iterdir()] == ["old.txt"]


@pytest.mark.parametrize("where", ["true", "false"])
def test_export_bag_without_any_photo_is_refused(tmp_path, where):
    run, _ = run_of(tmp_path, "a.jpg", status="failed")
    with pytest.raises(RunError, match=r"no photo can be exported to .*, and a bag without any is not valid"):
        export(run, tmp_path / "bag", where=where)
    assert not list_names(str(tmp_path / "bag"))


def test_export_bag_without_run_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"it has no run\.json"):
        export(RunPaths(str(tmp_path)), tmp_path / "bag")


@pytest.mark.parametrize(
    ("info", "message"),
    [({"A:B": "c"}, "is no entry"), ({"A": "b\nc"}, "is no entry"), ({"payload-oxum": "1.1"}, "by deepot itself")],
)
def test_export_bag_refuses_entries_that_would_break_the_bag(tmp_path, info, message):
    run, _ = run_of(tmp_path, "a.jpg")
    with pytest.raises(ConfigError, match=message):
        export(run, tmp_path / "bag", info=info)
    assert not (tmp_path / "bag").exists()


def test_export_bag_stopped_before_its_end_is_no_bag(tmp_path, monkeypatch):
    run, _ = run_of(tmp_path, "a.jpg")

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.exports.bag.write_run_files", stop)
    with pytest.raises(KeyboardInterrupt):
        export(run, tmp_path / "bag")
    assert "bagit.txt" not in list_names(str(tmp_path / "bag"))


def test_export_bag_into_object_storage_writes_the_bytes_of_one_on_a_disk(tmp_path):
    run, _ = run_of(tmp_path, "a.jpg", "größe 2.jpg")
    export(run, tmp_path / "bag")
    export(run, "memory://exports/bag")
    for path in (tmp_path / "bag").rglob("*"):
        if path.is_file():
            name = path.relative_to(tmp_path / "bag").as_posix()
            assert read(f"memory://exports/bag/{name}") == path.read_bytes()


def test_export_bag_holds_a_few_photos_at_a_time(tmp_path, monkeypatch):
    from pipeline.exports import copying

    run, _ = run_of(tmp_path, *(f"{number}.jpg" for number in range(60)))
    begun, done, copy = [], [], copying.read_verified
    monkeypatch.setattr(copying, "read_verified", lambda *values: begun.append(values) or copy(*values))

    class Progress(NullProgress):
        def advance(self, images, failed):
            done.append(len(begun))

    export_bag(run, ExportOptions(str(tmp_path / "bag")), {}, originals=False, progress=Progress())
    assert len(done) == 60 and max(n_begun - n_done for n_done, n_begun in enumerate(done)) <= 16


def test_export_command_prints_what_it_wrote_and_left_out(tmp_path, capsys):
    source = random.Random(1)
    rows = [add_export_row(tmp_path, number, f"{status}.jpg", source, 0, status)
            for number, status in enumerate(("ok", "failed"))]  # fmt: skip
    run = write_run(tmp_path, [rows])
    bag = str(tmp_path / "bag")
    status, printed = run_json_command(
        capsys, "export", run.uri, "--bagit", bag, "--originals", "--info", "Contact-Name=Jo"
    )
    assert status == 1 and (printed["written"], printed["skipped"], printed["uri"]) == (1, 1, bag)
    assert bagit.Bag(bag).info["Contact-Name"] == "Jo"
    assert main(["export", run.uri, "--bagit", str(tmp_path / "b2"), "--where", "status = 'ok'"]) == 0
    out = capsys.readouterr().out
    assert f"1 result, 1 file in {tmp_path}/b2" in out
    assert main(["export", run.uri, "--bagit", str(tmp_path / "b3"), "--info", "Contact-Name"]) == 2
    assert "--info 'Contact-Name' has no value" in capsys.readouterr().err
