"""Cells that are compressed to almost nothing, and the memory that reading them takes."""

import gc

import pyarrow as pa
import pytest

from pipeline.config.job import Limits
from pipeline.errors import ErrorCode, ImageError
from pipeline.sources import parquet_cells, parquet_column
from pipeline.sources.find import find_images
from pipeline.sources.parquet_cells import RowGroupReader
from pipeline.sources.reading import read_input
from tests.support.containers import write_parquet

MIB = 2**20
ENCODINGS = {
    "dictionary": {},
    "plain": {"use_dictionary": False},
    "prefixes": {"use_dictionary": False, "column_encoding": "DELTA_BYTE_ARRAY"},
    "lengths": {"use_dictionary": False, "column_encoding": "DELTA_LENGTH_BYTE_ARRAY"},
}


@pytest.fixture
def arrow_memory(monkeypatch):
    """A function that returns how much memory pyarrow and the bytes of cells took at most since it was called last."""
    import tracemalloc

    pool = pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(pool)
    tracemalloc.start()
    yield lambda: pool.max_memory() + tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    parquet_column._row_group_reader.cache_clear()
    gc.collect()
    pa.set_memory_pool(pa.default_memory_pool() if pool is None else pa.system_memory_pool())
    KEPT_POOLS.append(pool)


KEPT_POOLS = []
"""Buffers may outlive a test, and must not outlive their pool."""


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("cell_type", ["bytes", "struct"])
def test_cells_that_inflate_take_no_more_than_a_small_multiple_of_the_limit(
    tmp_path, arrow_memory, encoding, cell_type
):
    cells = [bytes(50 * MIB) + bytes([number]) for number in range(6)]
    if cell_type == "struct":
        cells = [{"bytes": cell, "path": "x.png"} for cell in cells]
        options = ENCODINGS[encoding] | ({"column_encoding": {"image.bytes": ENCODINGS[encoding]["column_encoding"]}} if "column_encoding" in ENCODINGS[encoding] else {})
    else:
        options = ENCODINGS[encoding]
    write_parquet(tmp_path / "bomb.parquet", cells, compression="zstd", **options)
    assert (tmp_path / "bomb.parquet").stat().st_size < MIB
    del cells
    before = arrow_memory()
    for entry in find_images(str(tmp_path / "bomb.parquet"), "input"):
        with pytest.raises(ImageError, match="more than limits|too much for limits") as caught:
            read_input(entry, Limits(max_bytes=4 * MIB))
        assert caught.value.code is ErrorCode.TOO_LARGE
    assert arrow_memory() - before < 30 * MIB
