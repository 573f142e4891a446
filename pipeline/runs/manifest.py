"""Writing manifest files, and reading those that are committed."""

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import takewhile
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import ErrorCode, RunError
from pipeline.runs.commits import ManifestFile, iter_commits, list_committed_shards, read_commit
from pipeline.runs.manifest_schema import (
    MANIFEST_SCHEMA,
    MANIFEST_VERSION,
    RESULT_STATUSES,
    VERSION_KEY,
    conform_to_schema,
)
from pipeline.runs.paths import RunPaths, require_run
from pipeline.storage import prefetch_map, read, sha256_hex, write

_READ_THREADS, _MAX_SHARDS_AHEAD = 16, 64
_FAILURE_COLUMNS = ["file_name", "input_uri", "error_code", "error_message"]


def write_manifest_file(run: RunPaths, name: str, rows: Sequence[dict[str, Any]]) -> ManifestFile:
    """Write rows as a manifest file; readers ignore it until a commit names it."""
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=MANIFEST_SCHEMA), buffer)
    data = buffer.getvalue()
    write(run.manifest(name), data)
    status = Counter(row["status"] for row in rows)
    codes = Counter(str(row["error_code"]) for row in rows if row["error_code"])
    since_success = list(takewhile(lambda row: row["status"] not in RESULT_STATUSES, reversed(rows)))
    refusals = [row["error_message"] or "" for row in since_success if row["error_code"] == ErrorCode.ACCESS_DENIED]
    return ManifestFile(
        *(name, len(data), sha256_hex(data), status["ok"], status["skipped"], status["failed"], dict(codes)),
        rejected=status["rejected"],
        untouched=sum(bool(row["untouched"]) for row in rows),
        refusals=len(refusals),
        last_refusal=refusals[0] if refusals else "",
    )


def iter_manifest_tables(run: RunPaths) -> Iterator[pa.Table]:
    """Iterate over the committed manifest files as tables; several shards are read in parallel.

    Every file is checked against the hash in its commit.

    Raises:
        RunError: a file is missing, or is not the one that was committed.
    """
    shards = sorted(list_committed_shards(run))
    for _, tables in prefetch_map(partial(_read_shard_tables, run), shards, _READ_THREADS, _MAX_SHARDS_AHEAD):
        yield from tables


def list_failures(run: RunPaths, limit: int) -> list[dict[str, Any]]:
    """Return the rows of the first failed images of a run, at most `limit`; other shards' manifest files are not read.

    Returns:
        The rows' file_name, input_uri, error_code and error_message.
    """
    found: list[dict[str, Any]] = []
    for _, files in iter_commits(run):
        for file in files:
            if file.failed:
                table = read_manifest_file(run, file)
                failed = table.filter(pc.field("status") == "failed").select(_FAILURE_COLUMNS)
                found += failed.slice(0, limit - len(found)).to_pylist()
        if len(found) >= limit:
            break
    return found


def _read_shard_tables(run: RunPaths, shard: int) -> list[pa.Table]:
    try:
        files = read_commit(run, shard)
    except FileNotFoundError:
        return []  # the shard was requeued since the commits were listed
    try:
        return [read_manifest_file(run, file) for file in files]
    except FileNotFoundError as error:
        raise RunError(
            f"a manifest file of shard {shard} is missing: run 'deepot verify {run.uri} --requeue', then the job again"
        ) from error


def find_shards_of_map(run: RunPaths, map_sha256: str) -> set[int]:
    """Find the committed shards with rows that were made by the given map."""
    tables = (table.filter(pc.field("map_sha256") == map_sha256) for table in iter_manifest_tables(run))
    return {shard for table in tables for shard in table["shard"].unique().to_pylist()}


def read_manifest_file(run: RunPaths, file: ManifestFile) -> pa.Table:
    """Read the rows of a manifest file and check them against the hash in its commit.

    Raises:
        FileNotFoundError: the file is missing.
        RunError: it is not the file that was committed.
    """
    uri = run.manifest(file.name)
    return parse_manifest_file(uri, _read_checked(run, file))


def parse_manifest_file(uri: str, data: bytes) -> pa.Table:
    """Return the rows that the bytes of a manifest file hold.

    Raises:
        RunError: they are not a manifest file of a version that this deepot reads.
    """
    try:
        with pq.ParquetFile(pa.BufferReader(data)) as parquet:
            table = parquet.read(use_threads=False)  # a few rows
        version = (table.schema.metadata or {}).get(VERSION_KEY, MANIFEST_VERSION.encode()).decode(errors="replace")
        if version == MANIFEST_VERSION:
            table = conform_to_schema(table)
            table.validate(full=True)
            return table
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RunError(f"{uri} is not a valid Parquet file ({error})") from error
    raise RunError(f"{uri} has rows of manifest version {version}; this deepot reads version {MANIFEST_VERSION}")


def read_output_uris(run: RunPaths, file: ManifestFile) -> list[str]:
    """Read the URIs of the results that a manifest file names, without its other columns.

    Raises:
        FileNotFoundError: the file is missing.
        RunError: it is not the file that was described.
    """
    with pq.ParquetFile(pa.BufferReader(_read_checked(run, file))) as parquet:
        column = parquet.read(columns=["output_uri"], use_threads=False).column(0)
    return column.drop_null().to_pylist()  # type: ignore[no-any-return]


def _read_checked(run: RunPaths, file: ManifestFile) -> bytes:
    uri = run.manifest(file.name)
    data = read(uri)
    if sha256_hex(data) != file.sha256:
        raise RunError(f"{uri} is not the file that was committed: its sha256 differs")
    return data


def read_manifest(run: RunPaths) -> pa.Table:
    """Read the complete committed manifest as one table.

    Raises:
        RunError: the folder is not that of a run, or a manifest file is missing or not the one that was committed.
    """
    require_run(run)
    return pa.concat_tables([MANIFEST_SCHEMA.empty_table(), *iter_manifest_tables(run)])
