"""Cells that are compressed to almost nothing, the memory that reading them takes, and reading in any order."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config.job import Limits
from pipeline.errors import ContainerError, ErrorCode, ImageError
from pipeline.sources import parquet_cells, parquet_column
from pipeline.sources.find import find_images
from pipeline.sources.parquet_cells import RowGroupReader
from pipeline.sources.parquet_pages import read_page_sizes
from pipeline.sources.reading import read_input
from pipeline.storage import Entry
from tests.support.containers import write_parquet
from tests.support.memory import measure_memory

MIB = 2**20
ENCODINGS = {
    "dictionary": {},
    "plain": {"use_dictionary": False},
    "prefixes": {"use_dictionary": False, "column_encoding": "DELTA_BYTE_ARRAY"},
    "lengths": {"use_dictionary": False, "column_encoding": "DELTA_LENGTH_BYTE_ARRAY"},
    "pages of version 2": {"use_dictionary": False, "data_page_version": "2.0"},
}


@pytest.fixture(autouse=True)
def no_cached_cells():
    yield
    parquet_column._read_row_group.cache_clear()


@pytest.mark.parametrize("as_struct", [False, True])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_cells_that_inflate_take_no_more_than_a_small_multiple_of_the_limit(tmp_path, encoding, as_struct):
    cells, options = [bytes(50 * MIB) + bytes([number]) for number in range(4)], dict(ENCODINGS[encoding])
    if as_struct:
        cells = [{"bytes": cell, "path": "x.png"} for cell in cells]
        if "column_encoding" in options:
            options["column_encoding"] = {f"image.{name}": options["column_encoding"] for name in ("bytes", "path")}
    write_parquet(tmp_path / "bomb.parquet", cells, compression="zstd", **options)
    assert (tmp_path / "bomb.parquet").stat().st_size < MIB
    del cells
    with measure_memory() as used:
        entries = list(find_images(str(tmp_path / "bomb.parquet"), "input"))
        for entry in entries:
            with pytest.raises(ImageError, match=r"limits\.max_bytes") as caught:
                read_input(entry, Limits(max_bytes=4 * MIB))
            assert caught.value.code is ErrorCode.TOO_LARGE
    assert len(entries) == 4 and used.bytes < 5 * 4 * MIB


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_repeated_cell_within_the_limit_is_not_held_once_for_each_row(tmp_path, encoding):
    write_parquet(tmp_path / "p.parquet", [bytes(4 * MIB)] * 40, compression="zstd", **ENCODINGS[encoding])
    with measure_memory() as used:
        for entry in find_images(str(tmp_path / "p.parquet"), "input"):
            try:
                assert len(read_input(entry, Limits(max_bytes=4 * MIB))) == 4 * MIB
            except ImageError as error:  # of a page that holds several of them
                assert error.code is ErrorCode.TOO_LARGE and encoding != "dictionary"
    assert used.bytes < 10 * 4 * MIB


def test_measured_memory_is_that_of_pyarrow_too(tmp_path):
    write_parquet(tmp_path / "p.parquet", [bytes(20 * MIB)], compression="zstd")
    with measure_memory() as used:
        read_input(Entry(f"{tmp_path}/p.parquet#image/0/0", "x", 0, "", 0.0), Limits())
    assert used.bytes > 40 * MIB


def test_one_cell_over_the_limit_is_refused_and_the_others_are_read(tmp_path):
    cells = [os.urandom(size) for size in (1000, 3000, 500)]
    write_parquet(tmp_path / "p.parquet", cells)
    reader = RowGroupReader(str(tmp_path / "p.parquet"), "image", 0, 2000)
    assert (reader.read(0), reader.read(2)) == (cells[0], cells[2])
    with pytest.raises(ImageError, match=r"more than limits\.max_bytes = 2000"):
        reader.read(1)


def test_large_pages_of_photos_that_do_not_compress_are_read_whatever_the_limit(tmp_path):
    """Writers put a thousand photos into one page; each of them is within the limit."""
    cells = [os.urandom(100_000) for _ in range(200)]
    write_parquet(tmp_path / "p.parquet", cells)
    reader = RowGroupReader(str(tmp_path / "p.parquet"), "image", 0, 100_000)
    assert [reader.read(row) for row in range(200)] == cells


@pytest.mark.parametrize("kept", [0, 10, 10**6])
def test_cells_are_read_in_any_order(tmp_path, monkeypatch, kept):
    monkeypatch.setattr(parquet_cells, "_KEPT_BYTES", kept)
    cells = [bytes([row]) * row for row in range(30)]
    write_parquet(tmp_path / "p.parquet", cells, row_group_size=15)
    readers = [RowGroupReader(str(tmp_path / "p.parquet"), "image", group, None) for group in (0, 1)]
    for row in (3, 4, 2, 14, 0, 1, 13, 12):
        assert [reader.read(row) for reader in readers] == [cells[row], cells[15 + row]]
    for row in (-1, 15):
        with pytest.raises(IndexError):
            readers[0].read(row)


def test_corrupt_row_group_fails_from_there_on(tmp_path):
    cells = [os.urandom(10_000) for _ in range(20)]
    write_parquet(
        tmp_path / "p.parquet", cells, use_dictionary=False, data_page_size=1, write_batch_size=1, compression="zstd"
    )
    data = bytearray((tmp_path / "p.parquet").read_bytes())
    start = data.index(cells[10][:100])
    data[start : start + 5000] = bytes(5000)
    data[start - 30 : start] = b"\xff" * 30
    (tmp_path / "p.parquet").write_bytes(data)
    reader = RowGroupReader(str(tmp_path / "p.parquet"), "image", 0, None)
    assert [reader.read(row) for row in range(10)] == cells[:10]
    for row in (10, 11, 19):
        with pytest.raises(ContainerError, match=r"p\.parquet"):
            reader.read(row)
    assert reader.read(9) == cells[9]


@pytest.mark.parametrize("options", ENCODINGS.values(), ids=ENCODINGS)
def test_page_sizes_add_up_to_the_column_chunk(tmp_path, options):
    table = pa.table({"image": [os.urandom(size) for size in range(0, 300_000, 3000)], "other": list(range(100))})
    options = options | {"write_statistics": False}  # page headers would hold the largest value, if it is short
    if "column_encoding" in options:
        options = options | {"column_encoding": {"image": options["column_encoding"]}}
    pq.write_table(table, tmp_path / "p.parquet", row_group_size=40, data_page_size=100, **options)
    with open(tmp_path / "p.parquet", "rb") as file, pq.ParquetFile(tmp_path / "p.parquet") as parquet:
        for group in range(3):
            for index in range(2):
                chunk = parquet.metadata.row_group(group).column(index)
                pages = read_page_sizes(file, chunk)
                overhead = chunk.total_compressed_size - sum(page.stored for page in pages)
                assert 0 < overhead < 100 * len(pages)
                assert chunk.total_uncompressed_size - sum(page.decompressed for page in pages) == overhead


@pytest.mark.parametrize(
    "junk", [b"", b"\xff" * 600, b"\x1c" * 2**17, b"\x15\x01\x15\x01\x15\x01\x00", b"\x19\xff" * 99]
)
def test_corrupt_page_header_is_refused(tmp_path, junk):
    write_parquet(tmp_path / "p.parquet", [os.urandom(2**18)], use_dictionary=False)
    data = bytearray((tmp_path / "p.parquet").read_bytes())
    data[4 : 4 + len(junk)] = junk
    data = data if junk else data[:4] + data[-500:]
    (tmp_path / "bad.parquet").write_bytes(data)
    (entry,) = find_images(str(tmp_path / "bad.parquet"), "input")
    with pytest.raises(ImageError) as caught:
        read_input(entry, Limits(max_bytes=2**20))
    assert caught.value.code is ErrorCode.DAMAGED
