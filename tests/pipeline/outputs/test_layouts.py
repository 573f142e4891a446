"""The registry of writers: every layout has one, and the name of a result belongs to it."""

import io

import pytest
from PIL import Image

from pipeline.config.output_layout import OutputLayout
from pipeline.imageio.image_file import decode
from pipeline.outputs.layouts import WRITERS, make_writer
from pipeline.outputs.shard_file_writer import ShardFileWriter, is_shard_file_name
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
    writer = make_writer(layout, storage_folder, "00003-1-a")
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
    writer = make_writer(layout, "/nowhere", "00000-1-a")
    expected = as_file if layout is OutputLayout.FILES else in_shard_file
    assert writer.key_for(name, format_spec, photo) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("00007-1-0123abcd-0123456789ab.tar", True),
        ("123456-12-0123abcd-0123456789ab.parquet", True),
        ("00007.tar", True),
        ("00007-01.parquet", True),
        ("7.tar", False),
        ("00007-photos.tar", False),
        ("sub/00007.tar", False),
        ("00007.tar.gz", False),
    ],
)
def test_shard_file_name_is_one_of_this_or_an_earlier_version(name, expected):
    assert is_shard_file_name(name) is expected


@pytest.mark.parametrize("layout", [OutputLayout.WEBDATASET, OutputLayout.PARQUET])
def test_shard_file_of_one_attempt_is_not_touched_by_another(layout, storage_folder):
    """An attempt that was suspended may write, or be committed, long after another one has begun."""
    results = []
    for name in ("00003-1-a", "00003-1-b", "00003-2-a"):
        writer, row = make_writer(layout, storage_folder, name), {"input_uri": "a.png", "file_name": "a.png"}
        writer.add(row, "a.png", name.encode())
        writer.close([row])
        results.append((row["output_uri"], name.encode()))
    assert len({uri.partition("#")[0] for uri, _ in results}) == 3
    assert [(uri, read_photo(uri)) for uri, _ in results] == results


def test_shard_file_writer_cannot_be_used_without_a_layout():
    with pytest.raises(TypeError, match="abstract"):
        ShardFileWriter("/nowhere", "00000-1-a")
