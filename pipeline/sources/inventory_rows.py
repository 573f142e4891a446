"""The rows of the files of an S3 Inventory: keys, sizes, ETags and times of the objects that exist."""

import gzip
import hashlib
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote_plus

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from pipeline.errors import StorageError
from pipeline.sources.inventory_manifest import InventoryFile, InventoryManifest, normalize_column
from pipeline.storage import read_range

ROW_SCHEMA = pa.schema(
    [("key", pa.large_string()), ("size", pa.int64()), ("etag", pa.large_string()), ("mtime", pa.float64())]
)
_REQUIRED = {"key": "Key", "size": "Size", "etag": "ETag", "lastmodifieddate": "LastModifiedDate"}
"""The columns that an inventory needs: an object whose size, ETag or time is another one counts as changed."""
_OPTIONAL = ("bucket", "islatest", "isdeletemarker")
_DOWNLOAD_BYTES, _CSV_BLOCK_BYTES, _BATCH_ROWS = 16 * 2**20, 8 * 2**20, 65_536


def download(file: InventoryFile, path: Path) -> None:
    """Copy a file of an inventory to the disk, and verify its size and MD5.

    Raises:
        StorageError: it is missing, cannot be read, or is not the file of the manifest.
    """
    md5, position = hashlib.md5(usedforsecurity=False), 0
    with path.open("wb") as copy:
        while position < file.size:
            try:
                part = read_range(file.uri, position, min(position + _DOWNLOAD_BYTES, file.size))
            except FileNotFoundError as error:
                raise StorageError(
                    f"inventory file {file.uri} is missing: inventories expire by the rules of their bucket; name the "
                    "manifest of a later one"
                ) from error
            if not part:
                break
            md5.update(part)
            copy.write(part)
            position += len(part)
    if (position, md5.hexdigest()) != (file.size, file.md5):
        raise StorageError(
            f"inventory file {file.uri} has {position} bytes and the MD5 {md5.hexdigest()}, but the manifest states "
            f"{file.size} and {file.md5}: copy it again, or name the manifest of another inventory"
        )


def iter_rows(manifest: InventoryManifest, file: InventoryFile, path: Path, prefix: str) -> Iterator[pa.Table]:
    """Yield the objects that a file lists below a prefix; noncurrent versions and delete markers are left out.

    Args:
        manifest: of the inventory.
        file: for messages.
        path: its copy on the disk.
        prefix: what the keys begin with.

    Raises:
        StorageError: it lacks a column, or is corrupt.
    """
    read_batches = _iter_csv if manifest.file_format == "CSV" else _iter_parquet
    try:
        with closing(read_batches(manifest, path)) as batches:
            for batch in batches:
                yield _select(batch, manifest, prefix)
    except _MissingColumnError as error:
        raise StorageError(
            f"inventory file {file.uri} has no column {error}: add it to the optional fields of the inventory "
            "configuration"
        ) from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise StorageError(f"inventory file {file.uri} cannot be read as {manifest.file_format}: {error}") from error


class _MissingColumnError(ValueError):
    pass


def _iter_csv(manifest: InventoryManifest, path: Path) -> Generator[pa.Table]:
    wanted = _wanted_columns(manifest.columns)
    with gzip.open(path) as content:
        if not content.read(1):  # which pyarrow refuses
            return
    options = {
        "read_options": pyarrow.csv.ReadOptions(column_names=manifest.columns, block_size=_CSV_BLOCK_BYTES),
        "convert_options": pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(wanted, pa.large_string()),
            include_columns=wanted,
            strings_can_be_null=False,
        ),
    }
    with pa.input_stream(path, compression="gzip") as stream, pyarrow.csv.open_csv(stream, **options) as reader:
        for batch in reader:
            table = pa.table({name: batch.column(name) for name in wanted})
            yield table.set_column(0, "key", _decode(table["key"]))


def _iter_parquet(manifest: InventoryManifest, path: Path) -> Generator[pa.Table]:
    with pq.ParquetFile(path) as parquet:
        name_of = {normalize_column(name): name for name in parquet.schema_arrow.names}
        wanted = _wanted_columns(tuple(name_of))
        for batch in parquet.iter_batches(_BATCH_ROWS, columns=[name_of[name] for name in wanted], use_threads=False):
            yield pa.table({name: _as_text(batch.column(name_of[name])) for name in wanted})


def _wanted_columns(columns: tuple[str, ...]) -> list[str]:
    """Return the columns that are read; that of keys comes first.

    Raises:
        _MissingColumnError: one is missing.
    """
    for name, label in _REQUIRED.items():
        if name not in columns:
            raise _MissingColumnError(label)
    return [*_REQUIRED, *(name for name in _OPTIONAL if name in columns)]


def _as_text(values: pa.Array) -> pa.Array:
    """Return values of whichever type as text as CSV files have it; null is empty."""
    if pa.types.is_timestamp(values.type):
        values = pc.cast(pc.cast(values, pa.timestamp("ms")), pa.int64())
    return pc.fill_null(pc.cast(values, pa.large_string()), "")


def _decode(keys: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return keys as they are in the bucket; CSV files have them as in URLs."""
    if not pc.any(pc.match_substring_regex(keys, "[%+]")).as_py():
        return keys
    decoded = [unquote_plus(key, errors="strict") for key in keys.to_pylist()]
    return pa.chunked_array([pa.array(decoded, pa.large_string())])


def _select(table: pa.Table, manifest: InventoryManifest, prefix: str) -> pa.Table:
    """Return the rows of objects below a prefix, with the columns of `ROW_SCHEMA`."""
    if "bucket" in table.column_names:
        others = table.filter(pc.not_equal(table["bucket"], manifest.bucket))
        if others.num_rows:
            raise ValueError(f"it lists the bucket {others['bucket'][0]}, and the manifest {manifest.bucket}")
    for name, excluded in (("islatest", "false"), ("isdeletemarker", "true")):
        if name in table.column_names:
            table = table.filter(pc.not_equal(pc.utf8_lower(table[name]), excluded))
    table = table.filter(pc.starts_with(table["key"], prefix))
    size, etag = pc.cast(table["size"], pa.int64()), pc.utf8_trim(table["etag"], '"')
    return pa.table([table["key"], size, etag, _to_seconds(table["lastmodifieddate"])], schema=ROW_SCHEMA)


def _to_seconds(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return seconds since 1970 of milliseconds, or of times in ISO 8601."""
    if pc.all(pc.utf8_is_digit(texts)).as_py():
        milliseconds = pc.cast(texts, pa.int64())
    else:
        milliseconds = pc.cast(pc.cast(texts, pa.timestamp("ms", "UTC")), pa.int64())
    return pc.divide(pc.cast(milliseconds, pa.float64()), 1000.0)
