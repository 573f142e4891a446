"""The columns of the manifest: one row for every input image."""

from collections.abc import Sequence
from functools import cache

import pyarrow as pa

from pipeline.errors import RunError

MANIFEST_VERSION = "1"
"""The version of what the columns mean; adding or dropping a column does not change it."""
VERSION_KEY = b"deepot_manifest"
"""The key of the version in a manifest file's Parquet metadata."""
RESULT_STATUSES = ("ok", "rejected")
"""The statuses of rows with a result; the result of a rejected photo has the bytes of its input."""
PHASES = ("read", "restore", "encode", "transport", "decode", "write")
"""The phases of an image whose seconds are recorded."""
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
        ("marks", pa.string()),
        ("credentials", pa.string()),
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
        ("damaged_metadata", pa.string()),
        ("other_pages", pa.string()),
        ("transport_mse", pa.float64()),
        ("patch_nll", pa.float64()),
        ("patch_nll_output", pa.float64()),
        *((f"seconds_{phase}", pa.float64()) for phase in PHASES),
        ("n_tiles", pa.int32()),
        ("delta_e", pa.float64()),
        ("mean_colour_delta_e", pa.float64()),
        ("untouched", pa.bool_()),
        ("consistency", pa.string()),
        ("contradiction", pa.float64()),
        ("invented", pa.float64()),
        ("invented_flat", pa.float64()),
        ("dtype", pa.string()),
        ("alpha", pa.float64()),
        ("tone_share", pa.float64()),
        ("companion_weight", pa.float64()),
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
    metadata={VERSION_KEY: MANIFEST_VERSION},
)


def conform_to_schema(table: pa.Table, columns: Sequence[str] | None = None) -> pa.Table:
    """Give a table the columns of `MANIFEST_SCHEMA`.

    Columns that an older version lacks become null; those that a newer version added are dropped.

    Args:
        table: the table.
        columns: names of the columns that it is to have; None for all.
    """
    schema = MANIFEST_SCHEMA if columns is None else _select_fields(tuple(columns))
    if table.schema.equals(schema, check_metadata=True):
        return table  # a cast copies nothing, but takes twice as long as reading the file
    for field in schema:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table.select(schema.names).cast(schema)


@cache
def _select_fields(columns: tuple[str, ...]) -> pa.Schema:
    return pa.schema([MANIFEST_SCHEMA.field(name) for name in columns], MANIFEST_SCHEMA.metadata)


def check_manifest_version(schema: pa.Schema, uri: str) -> None:
    """Check that the columns of a file mean what they mean in this version.

    Args:
        schema: the schema of the file.
        uri: the file.

    Raises:
        RunError: they do not.
    """
    version = (schema.metadata or {}).get(VERSION_KEY, MANIFEST_VERSION.encode()).decode(errors="replace")
    if version != MANIFEST_VERSION:
        raise RunError(f"{uri} has rows of manifest version {version}; this deepot reads version {MANIFEST_VERSION}")


def check_known_columns(schema: pa.Schema, uri: str) -> None:
    """Check that a file has no columns which this version would lose if it wrote the rows again.

    Args:
        schema: the schema of the file.
        uri: the file.

    Raises:
        RunError: it has such columns.
    """
    if unknown := [name for name in schema.names if name not in MANIFEST_SCHEMA.names]:
        raise RunError(f"{uri} has columns of a newer version of deepot ({', '.join(unknown)}): compact with that one")
