"""Exports described as datasets: Croissant that mlcroissant accepts, a datasheet, and removed photos with reasons."""

import json
import sys
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.cli import main
from pipeline.curation.export import export_photos
from pipeline.progress import NullProgress
from pipeline.runs.committed_rows import read_manifest
from pipeline.runs.manifest_schema import MANIFEST_SCHEMA
from pipeline.storage.objects import sha256_hex, write
from tests.support.photos import make_photo
from tests.support.selections import select_rows

WHERE = "noise < 4 OR status <> 'ok'"
PLACE = ("file_name", "tar", "source_name")
KEPT = ["a copy.jpg", "a.jpg", "b.jpg", "sub/a small.png"]
JOB = {
    "input": {"images": 's3://user:secret@archive/ünï "box"/'},
    "restorer": "nlm:sigma=10",
    "transport": {"mode": "auto", "alpha": 0.5},
}


@pytest.fixture(autouse=True)
def find_libraries(monkeypatch):
    """`make install` puts mlcroissant and datasets, with pandas, into a folder of their own."""
    monkeypatch.syspath_prepend(Path(sys.prefix) / "datasets")


@pytest.fixture
def described(run, tmp_path, capsys):
    """Exports with a card; returns the folder."""
    write(run.run_json, json.dumps({"job": JOB}).encode())

    def call(layout, *flags, status=1):
        folder = tmp_path / layout
        arguments = ["select", run.uri, "--where", WHERE, "--to", f"{folder}/", "--layout", layout]
        assert main([*arguments, "--card", 'Möwen & "mews"', *flags]) == status, "bad.jpg has no photo"
        return folder

    return call


@pytest.mark.parametrize("layout", ["webdataset", "imagefolder"])
def test_croissant_passes_the_validator_which_reads_all_rows(described, layout):
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    folder = described(layout)
    dataset = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
    assert dataset.metadata.issues.errors == set()
    assert dataset.metadata.name == 'Möwen & "mews"'
    records = list(dataset.records("photos"))
    assert sorted(record["photos/source_name"].decode() for record in records) == KEPT
    assert {record["photos/noise"] for record in records} == {0.0, 1.0, 2.0, 3.0}


@pytest.mark.parametrize("layout", ["webdataset", "imagefolder"])
def test_table_says_where_each_photo_is(described, run, layout):
    folder = described(layout)
    rows = pq.read_table(folder / "metadata.parquet").to_pylist()
    for row in rows:
        if layout == "imagefolder":
            assert row["tar"] is None
            data = (folder / row["file_name"]).read_bytes()
        else:
            with tarfile.open(folder / row["tar"]) as tar:
                data = tar.extractfile(row["file_name"]).read()
        assert sha256_hex(data) == row["output_sha256"]
    expected = select_rows(run, f"({WHERE}) AND status = 'ok'").to_pylist()
    without_place = [
        {"file_name": row["source_name"]} | {name: row[name] for name in row if name not in PLACE} for row in rows
    ]
    assert without_place == expected


def test_files_are_stated_with_their_hashes(described):
    folder = described("webdataset")
    card = json.loads((folder / "croissant.json").read_text(encoding="utf-8"))
    files = {each["@id"]: each for each in card["distribution"] if each["@type"] == "cr:FileObject"}
    assert set(files) == {"000000.tar", "metadata.parquet"}
    for name, file in files.items():
        data = (folder / name).read_bytes()
        assert (file["sha256"], file["contentSize"]) == (sha256_hex(data), f"{len(data)} B")
    sets = [each for each in card["distribution"] if each["@type"] == "cr:FileSet"]
    assert [(each["includes"], each["encodingFormat"]) for each in sets] == [
        ("*.jpg", "image/jpeg"),
        ("*.png", "image/png"),
    ]


def test_removed_photos_are_listed_with_reasons_and_counted(described, run, tmp_path):
    (tmp_path / "out" / "b.jpg").write_bytes(b"changed")
    folder = described("imagefolder")
    removed = {row["file_name"]: row for row in pq.read_table(folder / "removed.parquet").to_pylist()}
    kept = {row["source_name"] for row in pq.read_table(folder / "metadata.parquet").to_pylist()}
    every = set(read_manifest(run)["file_name"].to_pylist())
    assert set(removed) | kept == every and not set(removed) & kept
    assert removed["bad.jpg"]["error_code"] == "damaged"
    assert removed["b.jpg"]["reason"].startswith("the file has changed since the run")
    assert removed["c.jpg"]["reason"] == "not selected"
    sheet = (folder / "README.md").read_text(encoding="utf-8")
    for line in (
        "| not selected | 2 |",
        "| damaged | 1 |",
        "| not readable | 1 |",
        "Of 7 photos of the run, 4 are not",
    ):
        assert line in sheet
    assert "secret" not in sheet + (folder / "croissant.json").read_text(encoding="utf-8")


def test_datasheet_says_how_the_photos_were_made(described):
    sheet = (described("imagefolder") / "README.md").read_text(encoding="utf-8")
    assert "Restored by `nlm:sigma=10`, then moved towards natural photos" in sheet
    assert f"Selected by `{WHERE}`." in sheet
    originals = (described("webdataset", "--photos", "input", "--limit", "2") / "README.md").read_text(encoding="utf-8")
    assert "The photos are the originals, byte for byte." in originals
    assert f"Selected by `{WHERE}`, at most 2." in originals


def test_imagefolder_needs_no_card(run, tmp_path):
    assert (
        main(["select", run.uri, "--where", "noise < 2", "--to", f"{tmp_path}/train/", "--layout", "imagefolder"]) == 0
    )
    names = sorted(path.relative_to(tmp_path / "train").as_posix() for path in (tmp_path / "train").rglob("*.*"))
    assert names == ["metadata.parquet", "photos/000000000.jpg", "photos/000000001.jpg"]


def test_card_needs_an_empty_folder(run, tmp_path, capsys):
    for target, message in (("rows.parquet", "is no folder"), ("list.txt", "is no folder")):
        assert main(["select", run.uri, "--to", str(tmp_path / target), "--card", "name"]) == 2
        assert message in capsys.readouterr().err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    assert main(["select", run.uri, "--to", f"{tmp_path}/full/", "--card", "name"]) == 2
    assert "is not empty, and a card would not describe what is there" in capsys.readouterr().err


def test_hugging_face_reads_the_imagefolder(run, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    for name in KEPT:
        make_photo(0, 20, 16).save(tmp_path / "out" / name)
    rows = select_rows(run, WHERE).to_pylist()
    kept = [
        row | {"output_sha256": sha256_hex((tmp_path / "out" / row["file_name"]).read_bytes())}
        for row in rows
        if row["output_uri"]
    ]
    export_photos(
        pa.Table.from_pylist(kept, schema=MANIFEST_SCHEMA),
        f"{tmp_path}/train/",
        "output",
        NullProgress(),
        layout="imagefolder",
    )
    found = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "train"), cache_dir=str(tmp_path / "cache"))
    assert sorted(found["train"]["source_name"]) == KEPT
    assert found["train"][0]["image"].size == (20, 16)
