"""Manifest: one row for every input, in parts that are written whole and never changed."""

import io
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import RunError
from pipeline.runs.commits import ManifestFile, list_committed_shards, read_commit
from pipeline.runs.paths import RunPaths, require_run
from pipeline.storage import prefetch_map, read, sha256_hex, write

MANIFEST_VERSION = "1"
"""Of what columns mean; one that is added, or gone, is no new version."""
_VERSION_KEY = b"deepot_manifest"
_SHARD_READ_THREADS, _MAX_SHARDS_AHEAD = 16, 64  # shards whose rows are read at a time
PHASES = ("read", "restore", "encode", "transport", "decode", "write")
MANIFEST_SCHEMA = pa.schema(
    [
        ("file_name", pa.string()),
        ("input_uri", pa.string()),
        ("input_etag", pa.string()),
        ("input_size", pa.int64()),
        ("input_sha256", pa.string()),
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
        ("transport_mse", pa.float64()),
        ("patch_nll", pa.float64()),
        ("patch_nll_output", pa.float64()),
        *((f"seconds_{phase}", pa.float64()) for phase in PHASES),
        ("n_tiles", pa.int32()),
        ("delta_e", pa.float64()),
        ("mean_colour_delta_e", pa.float64()),
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
    metadata={_VERSION_KEY: MANIFEST_VERSION},
)


def new_manifest_file_name(shard: int, attempt: int) -> str:
    """A name that no other try of the same images has."""
    return f"{shard:05d}-{attempt}-{uuid.uuid4().hex[:8]}.parquet"


def write_manifest_file(run: RunPaths, name: str, rows: Sequence[dict[str, Any]]) -> ManifestFile:
    """Write rows as a manifest part; nothing counts it before a commit names it."""
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=MANIFEST_SCHEMA), buffer)
    data = buffer.getvalue()
    write(run.manifest(name), data)
    status = Counter(row["status"] for row in rows)
    codes = Counter(str(row["error_code"]) for row in rows if row["error_code"])
    return ManifestFile(
        name, len(data), sha256_hex(data), status["ok"], status["skipped"], status["failed"], dict(codes)
    )


def iter_manifest_tables(run: RunPaths) -> Iterator[pa.Table]:
    """The committed manifest, a table a part, checked against the hashes of the commits; some are read at a time.

    Raises:
        RunError: a part is gone, or differs from what its commit says.
    """
    for _, tables in prefetch_map(
        partial(_read_shard_tables, run), sorted(list_committed_shards(run)), _SHARD_READ_THREADS, _MAX_SHARDS_AHEAD
    ):
        yield from tables


def _read_shard_tables(run: RunPaths, shard: int) -> list[pa.Table]:
    try:
        files = read_commit(run, shard)
    except FileNotFoundError:
        return []  # taken back in the meantime
    try:
        return [read_manifest_file(run, part) for part in files]
    except FileNotFoundError as error:
        raise RunError(
            f"a manifest part of shard {shard} is gone: deepot verify {run.uri} --requeue, and then the job again"
        ) from error


def find_shards_of_map(run: RunPaths, map_sha256: str) -> set[int]:
    """Numbers of the committed shards that have rows of this map."""
    tables = (table.filter(pc.field("map_sha256") == map_sha256) for table in iter_manifest_tables(run))
    return {shard for table in tables for shard in table["shard"].unique().to_pylist()}


def read_manifest_file(run: RunPaths, file: ManifestFile) -> pa.Table:
    """The rows of a part, checked against the hash of its commit.

    Raises:
        FileNotFoundError: it is gone.
        RunError: it differs from what its commit says.
    """
    data = read(run.manifest(file.name))
    if sha256_hex(data) != file.sha256:
        raise RunError(f"{run.manifest(file.name)} is not the file that was committed: its sha256 differs")
    try:
        with pq.ParquetFile(io.BytesIO(data)) as parquet:
            table = parquet.read()
        version = (table.schema.metadata or {}).get(_VERSION_KEY, MANIFEST_VERSION.encode()).decode(errors="replace")
        if version == MANIFEST_VERSION:
            table = _conform_to_schema(table)
            table.validate(full=True)
            return table
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RunError(f"{run.manifest(file.name)} is no Parquet file ({error})") from error
    raise RunError(
        f"{run.manifest(file.name)} has rows of version {version}, this deepot reads those of {MANIFEST_VERSION}"
    )


def _conform_to_schema(table: pa.Table) -> pa.Table:
    """A part with the columns of `SCHEMA`: those that an older version lacks are null, those that a newer adds go."""
    for field in MANIFEST_SCHEMA:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table.select(MANIFEST_SCHEMA.names).cast(MANIFEST_SCHEMA)


def read_manifest(run: RunPaths) -> pa.Table:
    """The whole committed manifest as one table.

    Raises:
        RunError: there is no run in that folder, or a part of the manifest is not what was committed.
    """
    require_run(run)
    return pa.concat_tables([MANIFEST_SCHEMA.empty_table(), *iter_manifest_tables(run)])
