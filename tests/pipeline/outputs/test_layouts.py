"""The registry of writers: every layout has one, and the name of a result belongs to it."""

import io

import pytest
from PIL import Image

from pipeline.config.output_layout import OutputLayout
from pipeline.imageio.image_file import decode
from pipeline.outputs.layouts import WRITERS, make_writer
from pipeline.outputs.shard_file_writer import ShardFileWriter, parse_shard_number
from pipeline.sources.reading import read_photo


@pytest.fixture
def photo():
    with io.BytesIO() as file:
        Image.new("RGB", (8, 8)).save(file, "PNG")
        return decode(file.getvalue(), 100)


def test_every_layout_has_a_writer():
    assert set(WRITERS) == set(OutputLayout)


@pytest.mark.parametrize("layout", OutputLayout)
def test_written_results_are_where_their_rows_say(layout, storage_folder):
    writer = make_writer(layout, storage_folder, 3, "")
    rows = [{"input_uri": f"s3://in/{name}", "file_name": name} for name in ("a.png", "b/a.png", "not-done.png")]
    for row in rows[:2]:
        writer.add(row, row["file_name"], b"result of " + row["file_name"].encode())
    writer.close(rows)
    assert [read_photo(row["output_uri"]) for row in rows[:2]] == [b"result of a.png", b"result of b/a.png"]
    assert "output_uri" not in rows[2]


@pytest.mark.parametrize(
    ("name", "format_spec", "as_file", "in_shard_file"),
    [
        ("a.png", "png", "a.png", "a.png"),
        ("a.tif.png", "png", "a.tif.png.png", "a.tif.png"),
        ("a", "png", "a.png.png", "a.png"),
        ("a.jpg", "same", "a.jpg", "a.jpg.png"),
        ("p.parquet/00000007", "same", "p.parquet/00000007.png", "p.parquet/00000007.png"),
    ],
)
@pytest.mark.parametrize("layout", OutputLayout)
def test_key_for_is_unique_among_files_and_short_in_shard_files(
    layout, photo, name, format_spec, as_file, in_shard_file
):
    writer = make_writer(layout, "/nowhere", 0, "")
    expected = as_file if layout is OutputLayout.FILES else in_shard_file
    assert writer.key_for(name, format_spec, photo) == expected


@pytest.mark.parametrize(
    ("name", "number"),
    [("00007.tar", 7), ("00007-01.parquet", 7), ("123456.tar", 123456), ("7.tar", None), ("00007-2.tar", None)],
)
def test_shard_number_is_read_from_names_of_shard_files_only(name, number):
    assert parse_shard_number(name) == number


def test_shard_file_writer_cannot_be_used_without_a_layout():
    with pytest.raises(TypeError, match="abstract"):
        ShardFileWriter("/nowhere", 0, "")
