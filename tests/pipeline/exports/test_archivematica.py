"""Transfers of Archivematica: each derivative is found for its original, by the rules of Archivematica's own reader."""

import csv
import random

import pytest

from pipeline.errors import ConfigError
from pipeline.exports import Derivative, ExportOptions, export_archivematica
from pipeline.progress import NullProgress
from pipeline.storage import read
from tests.pipeline.provenance.conftest import write_run
from tests.support.export_runs import add_export_row, make_export_run
from tests.support.json_commands import run_json_command


def export(run, folder, derivative=Derivative.ACCESS, **options):
    return export_archivematica(run, ExportOptions(str(folder), **options), derivative, NullProgress())


def files_below(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def find_original(transfer, kind, derivative):
    """The original of a derivative, as `findFileInNormalizationCSV` of Archivematica finds it."""
    with open(transfer / "objects/manualNormalization/normalization.csv", newline="", encoding="utf-8") as file:
        for row in csv.reader(file):
            if not row or "#" in row[0]:
                continue
            original, access, preservation = row
            if (access if kind == "access" else preservation) == derivative:
                return original
    return None


@pytest.mark.parametrize("kind", list(Derivative))
@pytest.mark.parametrize("seed", range(8))
def test_export_archivematica_links_every_derivative_to_its_original(tmp_path, seed, kind):
    run, rows = make_export_run(tmp_path, seed)
    transfer = tmp_path / "transfer"
    done = export(run, transfer, kind, where="NOT contains(file_name, '#')")
    by_name = {row["file_name"]: row for row in rows if "#" not in row["file_name"]}
    derivatives = files_below(transfer / f"objects/manualNormalization/{kind}")
    originals = {name for name in files_below(transfer / "objects") if not name.startswith("manualNormalization/")}
    assert len(derivatives) == done.photos == sum(bool(row["output_uri"]) for row in by_name.values())
    assert len(originals) == sum(bool(row["input_sha256"]) for row in by_name.values())
    contents = {read(row["input_uri"]) if row["input_sha256"] else b"": row for row in by_name.values()}
    for name in derivatives:
        path = f"manualNormalization/{kind}/{name}"
        original = find_original(transfer, kind, path)
        assert original in originals, path
        row = contents[(transfer / "objects" / original).read_bytes()]
        assert (transfer / "objects" / path).read_bytes() == read(row["output_uri"])


def test_export_archivematica_documents_the_run(tmp_path):
    source = random.Random(1)
    rows = [add_export_row(tmp_path, number, f"{status}.jpg", source, 0, status)
            for number, status in enumerate(("ok", "failed"))]  # fmt: skip
    done = export(write_run(tmp_path, [rows]), tmp_path / "transfer", names="{stem}_enh{suffix}")
    documents = tmp_path / "transfer/metadata/submissionDocumentation/deepot"
    assert files_below(documents) == {"manifest.parquet", "run.json", "not-exported.csv", "premis/00000.premis.xml"}
    assert (tmp_path / "transfer/objects/manualNormalization/access/ok_enh.jpg").exists()
    assert done.skipped == (("failed.jpg", "failed: damaged: it ends at byte 7"),)


@pytest.mark.parametrize(
    ("name", "message"),
    [("a#1.jpg", "takes its line of normalization.csv for a comment"), ("manualNormalization/a.jpg", "uses itself")],
)
def test_export_archivematica_refuses_names_that_archivematica_cannot_read(tmp_path, name, message):
    row = add_export_row(tmp_path, 0, name, random.Random(1), 0, "ok")
    with pytest.raises(ConfigError, match=message):
        export(write_run(tmp_path, [[row]]), tmp_path / "transfer")
    assert not any((tmp_path / "transfer").rglob("*.jpg"))


def test_export_refuses_two_photos_of_one_name(tmp_path):
    source = random.Random(1)
    rows = [add_export_row(tmp_path, number, name, source, 0, "ok") for number, name in enumerate(("a%.jpg", "a_.jpg"))]
    with pytest.raises(ConfigError, match=r"'a%\.jpg' and 'a_\.jpg' would both be exported as 'a_\.jpg'"):
        export(write_run(tmp_path, [rows]), tmp_path / "transfer")


def test_export_command_writes_preservation_copies(tmp_path, capsys):
    row = add_export_row(tmp_path, 0, "a.jpg", random.Random(1), 0, "ok")
    run, transfer = write_run(tmp_path, [[row]]), tmp_path / "transfer"
    command = ("export", run.uri, "--archivematica", str(transfer), "--derivative", "preservation")
    status, printed = run_json_command(capsys, *command)
    assert status == 0 and (printed["written"], printed["files"]) == (1, 2)
    assert find_original(transfer, "preservation", "manualNormalization/preservation/a.jpg") == "a.jpg"
