"""Manifest files: writing and reading the rows of one attempt at a shard."""

import io
from collections import Counter
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import ErrorCode, RunError
from pipeline.runs.commits import ManifestFile
from pipeline.runs.manifest_schema import (
    MANIFEST_SCHEMA,
    RESULT_STATUSES,
    check_manifest_version,
    conform_to_schema,
)
from pipeline.runs.paths import RunPaths
from pipeline.storage import read, sha256_hex, write


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


def read_manifest_file(run: RunPaths, file: ManifestFile, columns: Sequence[str] | None = None) -> pa.Table:
    """Read the rows of a manifest file and check them against the hash in its commit.

    Args:
        run: the run.
        file: the manifest file.
        columns: the wanted columns; None for all.

    Raises:
        FileNotFoundError: the file is missing.
        RunError: it is not the file that was committed.
    """
    return parse_manifest_file(run.manifest(file.name), read_checked(run, file), columns)


def parse_manifest_file(uri: str, data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows that the bytes of a manifest file hold.

    Raises:
        RunError: they are not a manifest file of a version that this deepot reads.
    """
    try:
        with pq.ParquetFile(pa.BufferReader(data)) as parquet:
            names = parquet.schema_arrow.names
            present = None if columns is None else [name for name in columns if name in names]
            table = parquet.read(present, use_threads=False)  # a few rows
        check_manifest_version(table.schema, uri)
        table = conform_to_schema(table, columns)
        table.validate(full=True)
        return table
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RunError(f"{uri} is not a valid Parquet file ({error})") from error


def read_output_uris(run: RunPaths, file: ManifestFile) -> list[str]:
    """Read the URIs of the results that a manifest file names, without its other columns.

    Raises:
        FileNotFoundError: the file is missing.
        RunError: it is not the file that was described.
    """
    with pq.ParquetFile(pa.BufferReader(read_checked(run, file))) as parquet:
        column = parquet.read(columns=["output_uri"], use_threads=False).column(0)
    return column.drop_null().to_pylist()  # type: ignore[no-any-return]


def read_checked(run: RunPaths, file: ManifestFile) -> bytes:
    """Return the bytes of a manifest file.

    Raises:
        FileNotFoundError: the file is missing.
        RunError: it is not the file that was described.
    """
    uri = run.manifest(file.name)
    data = read(uri)
    if sha256_hex(data) != file.sha256:
        raise RunError(f"{uri} is not the file that was committed: its sha256 differs")
    return data
