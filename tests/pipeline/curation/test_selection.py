"""Selections in a database on disk: streamed, of the columns that expressions name, and what happens without room."""

import duckdb
import pyarrow as pa
import pytest

from pipeline.curation import query
from pipeline.errors import RunError
from pipeline.runs.manifest_schema import MANIFEST_SCHEMA
from tests.support.selections import select_rows


def test_open_manifest_without_room_for_the_database_names_the_way_out(run):
    message = r"cannot be written in .* \(IO Error: no room\): set TMPDIR"
    with pytest.raises(RunError, match=message), query.open_manifest(run):
        raise duckdb.IOException("IO Error: no room")


def test_selection_is_streamed_in_its_order_as_often_as_needed(run, monkeypatch):
    monkeypatch.setattr(query, "_BATCH_ROWS", 2)
    expected = select_rows(run, order="noise DESC NULLS LAST, file_name")
    with query.open_selection(run, order="noise DESC NULLS LAST, file_name") as selection:
        assert (len(selection), selection.schema) == (7, MANIFEST_SCHEMA.remove_metadata())
        for _ in range(2):
            assert pa.Table.from_batches(selection.iter_batches()).equals(expected)
        first, second = selection.iter_batches(["file_name"]), selection.iter_batches(["file_name"])
        assert next(first).equals(next(second))


@pytest.mark.parametrize(
    "where",
    [
        "NOISE >= 3",
        '"Noise" >= 3',
        "manifest.noise >= 3",
        "file_name IN (SELECT n.file_name FROM manifest AS n WHERE n.noise >= 3)",
        "EXISTS (SELECT * FROM manifest AS n WHERE n.file_name = manifest.file_name AND n.noise >= 3)",
    ],
)
def test_select_rows_reads_the_columns_that_expressions_name(run, where):
    found = select_rows(run, where, columns=["file_name"])["file_name"].to_pylist()
    assert sorted(found) == ["b again.jpg", "b.jpg", "c.jpg"]
