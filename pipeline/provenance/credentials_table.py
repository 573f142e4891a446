"""The tables of signed results: one Parquet file per shard, beside the manifest."""

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import RunError
from pipeline.storage import read, write


class CredentialStatus(StrEnum):
    """What became of a result.

    SIGNED: it has credentials.
    LEFT_OUT: it gets none, by its nature.
    FAILED: it could not be signed; the command run again tries once more.
    """

    SIGNED = "signed"
    LEFT_OUT = "left out"
    FAILED = "failed"


@dataclass(frozen=True)
class CredentialEntry:
    """The row of one result.

    Attributes:
        file_name: name of the photo in the input.
        output_uri: the result.
        output_sha256: its SHA-256 in the manifest.
        status: a value of `CredentialStatus`.
        reason: why it has no credentials; None if it has.
        ingredient: what the credentials have of the input: `input`, `input with its credentials`, or `identifier` with
            the reason in brackets; None if there are none.
        credentials_uri: the file with the credentials; None if there are none.
        credentials_sha256: its SHA-256.
        certificate_sha256: SHA-256 of the signer's certificate.
        algorithm: the algorithm of the signature.
    """

    file_name: str
    output_uri: str
    output_sha256: str
    status: str
    reason: str | None = None
    ingredient: str | None = None
    credentials_uri: str | None = None
    credentials_sha256: str | None = None
    certificate_sha256: str | None = None
    algorithm: str | None = None


_SCHEMA = pa.schema([(each.name, pa.string()) for each in fields(CredentialEntry)])


def read_table(uri: str) -> list[CredentialEntry]:
    """Read the entries of a shard; none if it has no table yet.

    Raises:
        RunError: the file is no such table.
    """
    try:
        data = read(uri)
    except FileNotFoundError:
        return []
    try:
        with pq.ParquetFile(io.BytesIO(data)) as parquet:
            rows = parquet.read(columns=_SCHEMA.names).select(_SCHEMA.names).to_pylist()
        return [CredentialEntry(**row) for row in rows]
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise RunError(
            f"{uri} is no table of signed results ({error}): remove it, and run the command again"
        ) from error


def write_table(uri: str, entries: Sequence[CredentialEntry]) -> None:
    """Write the entries of a shard, in place of those that were there."""
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([asdict(entry) for entry in entries], schema=_SCHEMA), buffer)
    write(uri, buffer.getvalue())
