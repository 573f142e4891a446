"""Sorting rows that do not fit into memory: sorted runs on the disk, merged as a stream."""

import heapq
from collections.abc import Iterable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa

MAX_RUN_BYTES = 128 * 2**20
"""Bytes of rows that are sorted in memory at a time."""
_BATCH_ROWS = 8192


def sort_rows(tables: Iterable[pa.Table], folder: Path) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of tables of one schema in the order of their first column; texts by their UTF-8 bytes.

    No more is held than `MAX_RUN_BYTES`, twice while a run is sorted, and a few thousand rows of each run.

    Args:
        tables: read before the first row is yielded.
        folder: an empty folder for the runs; they stay in it.
    """
    paths = [_write_run(run, folder / f"run-{number:05d}.arrow") for number, run in enumerate(_iter_runs(tables))]
    yield from heapq.merge(*map(_read_run, paths), key=itemgetter(0))


def _iter_runs(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    held, n_bytes = [], 0
    for table in tables:
        held.append(table)
        n_bytes += table.nbytes
        if n_bytes >= MAX_RUN_BYTES:
            yield pa.concat_tables(held)
            held, n_bytes = [], 0
    if held:
        yield pa.concat_tables(held)


def _write_run(table: pa.Table, path: Path) -> Path:
    ordered = table.sort_by(table.column_names[0])
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, ordered.schema) as writer:
        writer.write_table(ordered, max_chunksize=_BATCH_ROWS)
    return path


def _read_run(path: Path) -> Iterator[tuple[Any, ...]]:
    with pa.memory_map(str(path)) as file:
        reader = pa.ipc.open_file(file)
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
