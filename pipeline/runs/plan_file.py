"""The file format of plans and photo lists: shards of images as Parquet."""

import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.runs.numbered_files import PARQUET_OPTIONS, ROWS_PER_BATCH, iter_parquet_batches
from pipeline.runs.shard_counts import ShardCounts
from pipeline.runs.shard_set import ShardSet
from pipeline.runs.sharding import Shard, estimate_costs
from pipeline.storage import Entry

PLAN_SCHEMA = pa.schema(
    [
        ("uri", pa.string()),
        ("key", pa.string()),
        ("size", pa.int64()),
        ("etag", pa.string()),
        ("mtime", pa.float64()),
        ("shard", pa.int32()),
        ("cost", pa.int64()),
    ]
)
_PLAN_PARQUET_OPTIONS = PARQUET_OPTIONS | {"use_dictionary": ["etag", "shard", "cost"]}
_READ_BATCH_ROWS = 2_000  # few, as a listing is merged with all plan files at once


def read_shards(uri: str, numbers: ShardSet | None = None) -> Iterator[Shard]:
    """Stream the shards of a plan file.

    Args:
        uri: a Parquet file of `PLAN_SCHEMA`.
        numbers: the numbers of the wanted shards; None for all.
    """
    for number, group in groupby(read_entries(uri, numbers), key=itemgetter(1)):
        yield Shard(number, tuple(entry for entry, _ in group))


def read_entries(
    uri: str, numbers: ShardSet | None = None, batch_rows: int = _READ_BATCH_ROWS
) -> Iterator[tuple[Entry, int]]:
    """Stream the images of a plan file, each with the number of its shard, in batches; arguments as `read_shards`."""
    for batch in iter_parquet_batches(uri, [*Entry._fields, "shard"], batch_rows):
        rows = batch
        if numbers is not None:
            is_wanted = numbers.positions(batch.column("shard").to_numpy())[1]
            if not is_wanted.any():
                continue
            rows = batch if is_wanted.all() else batch.filter(pa.array(is_wanted))
        columns = [rows.column(name).to_pylist() for name in Entry._fields]
        yield from zip(map(Entry, *columns), rows.column("shard").to_pylist(), strict=True)


def read_first_key(uri: str) -> str | None:
    """Return the key of the first image of a plan file; None if it has none."""
    for batch in iter_parquet_batches(uri, ["key"], 1):
        return str(batch.column("key")[0].as_py())
    return None


def shards_to_parquet(shards: Iterable[Shard]) -> bytes:
    """Return shards as a Parquet file of `PLAN_SCHEMA`."""
    with io.BytesIO() as file:
        write_shards(file, shards)
        return file.getvalue()


def write_shards(file: io.BytesIO, shards: Iterable[Shard]) -> int:
    """Write shards as a Parquet file of `PLAN_SCHEMA`.

    Returns:
        The number of the last shard; -1 if there are none.
    """
    number = -1
    with pq.ParquetWriter(file, PLAN_SCHEMA, **_PLAN_PARQUET_OPTIONS) as writer:
        entries: list[Entry] = []
        numbers: list[int] = []
        for shard in shards:
            number = shard.number
            entries += shard.entries
            numbers += [number] * len(shard.entries)
            if len(entries) >= ROWS_PER_BATCH:
                writer.write_batch(_to_record_batch(entries, numbers))
                entries, numbers = [], []
        if entries:
            writer.write_batch(_to_record_batch(entries, numbers))
    return number


def _to_record_batch(entries: Sequence[Entry], numbers: Sequence[int]) -> pa.RecordBatch:
    columns = [[entry[place] for entry in entries] for place in range(len(Entry._fields))]
    arrays = [pa.array(column, field.type) for column, field in zip([*columns, numbers], PLAN_SCHEMA, strict=False)]
    by_name = dict(zip(Entry._fields, arrays, strict=False))
    return pa.RecordBatch.from_arrays([*arrays, estimate_costs(by_name["key"], by_name["size"])], schema=PLAN_SCHEMA)


def count_images_in_plan_file(uri: str) -> ShardCounts:
    """Count the images of each shard in a plan file; no shard is in two files."""
    numbers = (batch.column("shard").to_numpy() for batch in iter_parquet_batches(uri, ["shard"]))
    return ShardCounts(np.unique(batch, return_counts=True) for batch in numbers)
