"""Manifest: one row for every input, in parts that count once a commit names them."""

import io
import json
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.ahead import read_ahead
from pipeline.errors import RunError
from pipeline.layout import Run, check_run
from pipeline.lease import check
from pipeline.storage import create, names, put, read, sha256

VERSION = "1"
_READERS, _READ_AHEAD = 16, 1000  # of commits: one takes tens of milliseconds where a network lies between
PHASES = ("read", "restore", "encode", "transport", "decode", "write")
SCHEMA = pa.schema(
    [
        ("file_name", pa.string()),
        ("source_uri", pa.string()),
        ("source_etag", pa.string()),
        ("source_size", pa.int64()),
        ("source_sha256", pa.string()),
        ("output_uri", pa.string()),
        ("output_sha256", pa.string()),
        ("output_bytes", pa.int64()),
        ("status", pa.string()),
        ("error_code", pa.string()),
        ("error_message", pa.string()),
        ("retriable", pa.bool_()),
        ("attempt", pa.int32()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("mode", pa.string()),
        ("bit_depth", pa.int32()),
        ("format", pa.string()),
        ("pages", pa.int32()),
        ("orientation", pa.int32()),
        ("has_alpha", pa.bool_()),
        ("has_icc", pa.bool_()),
        ("has_exif", pa.bool_()),
        ("transport_cost", pa.float64()),
        ("naturalness", pa.float64()),
        ("naturalness_output", pa.float64()),
        *((f"seconds_{phase}", pa.float64()) for phase in PHASES),
        ("n_tiles", pa.int32()),
        ("delta_e", pa.float64()),
        ("colour_drift", pa.float64()),
        ("dtype", pa.string()),
        ("alpha", pa.float64()),
        ("map_sha256", pa.string()),
        ("config_sha256", pa.string()),
        ("run_id", pa.string()),
        ("shard", pa.int32()),
        ("code_version", pa.string()),
        ("sharpness", pa.float64()),
        ("noise", pa.float64()),
        ("blockiness", pa.float64()),
        ("clipped_low", pa.float64()),
        ("clipped_high", pa.float64()),
        ("phash", pa.string()),
    ],
    metadata={"deepot_manifest": VERSION},
)


@dataclass(frozen=True)
class Part:
    """A written manifest part: what a commit says of it.

    Attributes:
        name: file name in the manifest folder.
        size: bytes.
        sha256: of the file.
        ok: rows of images that are done.
        skipped: rows of images left alone on purpose.
        failed: rows of images that failed.
        codes: error codes and how often.
    """

    name: str
    size: int
    sha256: str
    ok: int
    skipped: int
    failed: int
    codes: dict[str, int]

    @property
    def rows(self) -> int:
        """All rows."""
        return self.ok + self.skipped + self.failed


def part_name(shard: int, attempt: int) -> str:
    """A name that no other try of the same images has."""
    return f"{shard:05d}-{attempt}-{uuid.uuid4().hex[:8]}.parquet"


def write_part(run: Run, name: str, rows: Sequence[dict[str, Any]]) -> Part:
    """Write rows as a manifest part; nothing counts it before a commit names it."""
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=SCHEMA), sink)
    data = sink.getvalue()
    put(run.manifest(name), data)
    status = Counter(row["status"] for row in rows)
    codes = Counter(str(row["error_code"]) for row in rows if row["error_code"])
    return Part(name, len(data), sha256(data), status["ok"], status["skipped"], status["failed"], dict(codes))


def commit(run: Run, shard: int, parts: Sequence[Part]) -> bool:
    """Commit a shard: create-only, so of two drivers one wins.

    Returns:
        Whether this call's parts are the committed ones.

    Raises:
        RunError: this driver had to lead the run alone, and another one does so now.
    """
    check(run)
    record = {"shard": shard, "parts": [asdict(part) for part in sorted(parts, key=lambda part: part.name)]}
    return create(run.commit(shard), json.dumps(record, sort_keys=True).encode())


def committed_numbers(run: Run) -> set[int]:
    """Numbers of the committed shards, from names alone."""
    return {
        int(name.removesuffix(".json")) for name in names(run.commit()) if name.endswith(".json") and name[0] != "."
    }


def committed(run: Run) -> Iterator[tuple[int, list[Part]]]:
    """The committed shards in order, and their parts.

    Raises:
        RunError: one of them is not readable as a commit.
    """
    return read_commits(run, committed_numbers(run))


def read_commits(run: Run, numbers: Iterable[int]) -> Iterator[tuple[int, list[Part]]]:
    """Commits of these shards in order, and their parts; some are read at a time.

    Raises:
        RunError: one of them is not readable as a commit.
    """
    return read_ahead(partial(read_commit, run), sorted(numbers), _READERS, _READ_AHEAD)


def read_commit(run: Run, shard: int) -> list[Part]:
    """The parts that the commit of a shard names.

    Raises:
        RunError: the commit is not readable as one.
    """
    try:
        return [Part(**part) for part in json.loads(read(run.commit(shard)))["parts"]]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{run.commit(shard)} is not a commit of this version of deepot ({error})") from error


def read_rows(run: Run) -> Iterator[pa.Table]:
    """The committed manifest, a table a part, checked against the hashes of the commits; some are read at a time.

    Raises:
        RunError: a part differs from what its commit says.
    """
    parts = (part for _, parts in committed(run) for part in parts)
    for _, table in read_ahead(partial(read_part, run), parts, _READERS, _READ_AHEAD):
        yield table


def made_by(run: Run, map_sha256: str) -> set[int]:
    """Numbers of the committed shards that have rows of this map."""
    made = (table.filter(pc.field("map_sha256") == map_sha256) for table in read_rows(run))
    return {shard for table in made for shard in table["shard"].unique().to_pylist()}


def read_part(run: Run, part: Part) -> pa.Table:
    """The rows of a part, checked against the hash of its commit.

    Raises:
        FileNotFoundError: it is gone.
        RunError: it differs from what its commit says.
    """
    data = read(run.manifest(part.name))
    if sha256(data) != part.sha256:
        raise RunError(f"{run.manifest(part.name)} is not the file that was committed: its sha256 differs")
    try:
        table = _conformed(pq.read_table(io.BytesIO(data)))
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RunError(f"{run.manifest(part.name)} is no Parquet file ({error})") from error
    return table


def _conformed(table: pa.Table) -> pa.Table:
    """A part with the columns of `SCHEMA`; those that an older version did not write are null."""
    missing = [field for field in SCHEMA if field.name not in table.column_names]
    for field in missing:
        table = table.append_column(field, pa.nulls(len(table), field.type))
    return table.select(SCHEMA.names).cast(SCHEMA) if missing else table


def read_manifest(run: Run) -> pa.Table:
    """The whole committed manifest as one table.

    Raises:
        RunError: there is no run in that folder, or a part of the manifest is not what was committed.
    """
    check_run(run)
    return pa.concat_tables([SCHEMA.empty_table(), *read_rows(run)])
