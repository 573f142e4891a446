"""The two files of a segment: the rows of many shards, and the index with the commits that the rows belong to.

The index is created after the rows, and a segment without an index does not exist. Both have names of their own, and
neither is ever changed.
"""

import io
import json
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import RunError
from pipeline.runs.manifest_schema import (
    MANIFEST_SCHEMA,
    check_known_columns,
    check_manifest_version,
    conform_to_schema,
)
from pipeline.runs.paths import RunPaths
from pipeline.storage import create_if_absent, iter_names, read, sha256_hex, write

ROWS_PER_SEGMENT = 131_072
"""Rows after which a segment is complete: a few tens of megabytes."""
INDEX_SUFFIX = ".index"
"""The suffix of the files that make segments exist."""
_ROWS_PER_GROUP = 16_384  # of the Parquet file; a group has complete shards
_NAME = re.compile(r"(\d{6,}-[0-9a-f]{12})\.(index|parquet)")
_ROWS_SUFFIX = ".parquet"
_ABOUT_KEY, _VERSION = b"deepot_segment", 1
_INDEX_SCHEMA = pa.schema([("shard", pa.int64()), ("rows", pa.int64()), ("group", pa.int64()), ("commit", pa.binary())])
_PARQUET_OPTIONS: dict[str, Any] = {"compression": "zstd", "write_statistics": False}


@dataclass(frozen=True)
class Segment:
    """A segment as its index describes it. Arrays have an element for each shard, in the order of the rows.

    Attributes:
        name: its name, which sorts after those of the segments that its rows were taken from.
        sha256: SHA-256 of that file.
        shards: the numbers of its shards.
        n_rows: the number of rows of each.
        groups: the row group of the file that has the rows of each.
        commits: the bytes of the commit that each was read with.
    """

    name: str
    sha256: str
    shards: npt.NDArray[np.int64]
    n_rows: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]
    commits: tuple[bytes, ...]


class SegmentWriter:
    """Writes one segment. Holds its compressed rows, and those of one row group."""

    def __init__(self, run: RunPaths) -> None:
        self.n_rows = 0
        self._run = run
        self._file, self._pending, self._n_pending, self._group = io.BytesIO(), list[pa.Table](), 0, 0
        self._writer = pq.ParquetWriter(self._file, MANIFEST_SCHEMA, **_PARQUET_OPTIONS)
        self._index: list[tuple[int, int, int, bytes]] = []

    def add(self, shard: int, commit: bytes, rows: pa.Table) -> None:
        """Add the rows of a shard, with the schema `MANIFEST_SCHEMA`, and the bytes of the commit that names them."""
        self._index.append((shard, len(rows), self._group, commit))
        self._pending.append(rows)
        self._n_pending += len(rows)
        self.n_rows += len(rows)
        if self._n_pending >= _ROWS_PER_GROUP:
            self._flush()

    def publish(self, generation: int) -> str:
        """Write the rows and then the index, which makes them a segment; returns its name.

        Args:
            generation: a number above those of all segments that rows were taken from.
        """
        self._flush()
        self._writer.close()
        data, name = self._file.getvalue(), f"{generation:06d}-{uuid.uuid4().hex[:12]}"
        about = {"version": _VERSION, "sha256": sha256_hex(data)}
        columns = [pa.array(column, field.type) for column, field in zip(zip(*self._index), _INDEX_SCHEMA)]  # noqa: B905
        metadata = {_ABOUT_KEY: json.dumps(about, sort_keys=True).encode()}
        index = io.BytesIO()
        pq.write_table(pa.table(columns, schema=_INDEX_SCHEMA.with_metadata(metadata)), index, **_PARQUET_OPTIONS)
        write(self._run.segment(name + _ROWS_SUFFIX), data)
        create_if_absent(self._run.segment(name + INDEX_SUFFIX), index.getvalue())
        return name

    def _flush(self) -> None:
        if self._pending:
            table = pa.concat_tables(self._pending).combine_chunks()
            self._writer.write_table(table, row_group_size=max(1, len(table)))
            self._pending, self._n_pending, self._group = [], 0, self._group + 1


def list_segments(run: RunPaths) -> list[str]:
    """List the names of the segments of a run, the latest one first."""
    matches = (_NAME.fullmatch(name) for name in iter_names(run.segment()))
    return sorted((match[1] for match in matches if match and match[2] == "index"), key=_preference, reverse=True)


def segment_files(name: str) -> tuple[str, str]:
    """Return the names of a segment's two files in the folder of segments, the index first."""
    return name + INDEX_SUFFIX, name + _ROWS_SUFFIX


def is_segment_file_name(name: str) -> bool:
    """Whether the files of segments have such names."""
    return _NAME.fullmatch(name) is not None


def next_generation(names: Sequence[str]) -> int:
    """Return a generation above those of all these segments."""
    return max((_preference(name)[0] for name in names), default=0) + 1


def _preference(name: str) -> tuple[int, str]:
    return int(name.partition("-")[0]), name


def read_segment(run: RunPaths, name: str) -> Segment:
    """Read the index of a segment.

    Raises:
        FileNotFoundError: there is no such segment.
        RunError: the file is no index of a version that this deepot reads.
    """
    uri = run.segment(name + INDEX_SUFFIX)
    try:
        table = pq.read_table(pa.BufferReader(read(uri)), use_threads=False)
        about = json.loads(table.schema.metadata[_ABOUT_KEY])
        if about["version"] != _VERSION:
            raise RunError(f"{uri} has version {about['version']}; this deepot reads version {_VERSION}")
        shards, n_rows, groups = (table[field].to_numpy() for field in ("shard", "rows", "group"))
        if len(np.unique(shards)) != len(shards):
            raise ValueError("a shard is in it twice")
        return Segment(name, about["sha256"], shards, n_rows, groups, tuple(table["commit"].to_pylist()))
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise RunError(f"{uri} is not the index of a segment ({error}); {repair_advice(run)}") from error


def iter_segment_groups(
    run: RunPaths,
    segment: Segment,
    kept: npt.NDArray[np.bool_],
    columns: Sequence[str] | None,
    *,
    only_known_columns: bool = False,
) -> Iterator[tuple[pa.Table, npt.NDArray[np.int64]]]:
    """Iterate over the row groups of a segment; the complete file is read and checked before the first one comes.

    Args:
        run: the run.
        segment: the segment.
        kept: for each of its shards, whether its rows are wanted.
        columns: the wanted columns of `MANIFEST_SCHEMA`; None for all.
        only_known_columns: whether columns that this version does not know are an error.

    Returns:
        For each group with such shards: their rows, and their positions in the segment.

    Raises:
        FileNotFoundError: the file of rows is missing.
        RunError: it is not the file that the index describes, or has columns that are an error.
    """
    uri = run.segment(segment.name + _ROWS_SUFFIX)
    data = read(uri)
    if sha256_hex(data) != segment.sha256:
        raise RunError(f"{uri} is not the file of its segment: its sha256 differs; {repair_advice(run)}")
    with pq.ParquetFile(pa.BufferReader(data)) as parquet:
        schema = parquet.schema_arrow
        check_manifest_version(schema, uri)
        if only_known_columns:
            check_known_columns(schema, uri)
        present = None if columns is None else [name for name in columns if name in schema.names]
        for group in range(parquet.num_row_groups):
            members = np.flatnonzero(segment.groups == group)
            wanted = members[kept[members]]
            if not len(wanted):
                continue
            table = conform_to_schema(parquet.read_row_group(group, present, use_threads=False), columns)
            if len(wanted) < len(members):
                table = table.filter(pa.array(np.repeat(kept[members], segment.n_rows[members])))
            yield table, wanted


def repair_advice(run: RunPaths) -> str:
    """Return what to do about a file of the run that is missing or has changed."""
    return f"run 'deepot verify {run.uri} --requeue', then the job again"
