"""A column of a Parquet file that holds photos, or their URIs."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import ContainerError, StorageError
from pipeline.imageio import has_image_extension
from pipeline.sources.container import open_container
from pipeline.sources.member_uri import ArchiveMember, make_cell_uri, resolve_relative, sanitize_path
from pipeline.sources.photo_list import resolve_names
from pipeline.storage import Entry, read

_ROW_GROUP_LOCKS = tuple(threading.Lock() for _ in range(8))


class ParquetColumn:
    """Bytes, structs of bytes and path as Hugging Face stores them, or URIs."""

    has_columns = True

    def entries(self, file: Entry, column: str) -> Iterator[Entry]:
        """Yield a photo for each row, or for each URI."""
        try:
            with open_container(file.uri) as stream, pq.ParquetFile(stream) as parquet:
                dtype = _column_type(parquet.schema_arrow, column, file.uri)
                if not _is_string_type(dtype):
                    yield from _cell_entries(file, parquet, column, pa.types.is_struct(dtype))
                    return
                names = parquet.read(columns=[column]).column(column).to_pylist()
        except pa.ArrowInvalid as error:
            raise ContainerError(f"{file.uri} is not a Parquet file, or a corrupt one: {error}") from error
        yield from resolve_names(filter(None, names), file.uri)

    def other_names(self, file: Entry) -> Iterator[str]:
        """Return nothing: every cell is a photo."""
        return iter(())

    def names_photos(self, files: Sequence[Entry], column: str) -> bool:
        """Whether the column holds URIs, by the first file that can be read."""
        for file in files:
            with (
                suppress(pa.ArrowInvalid, ContainerError),
                open_container(file.uri) as stream,
                pq.ParquetFile(stream) as parquet,
            ):
                return _is_string_type(_column_type(parquet.schema_arrow, column, file.uri))
        return False

    def read_member(self, member: ArchiveMember, max_inflated_bytes: int) -> bytes:
        """Read a cell, or the file whose path it holds instead of bytes."""
        column, group, row = member.parse_cell()
        value = _read_cell(member.container, column, group, row)
        if isinstance(value, dict):
            value = value["bytes"] if value.get("bytes") is not None else value.get("path")
        if isinstance(value, str):
            return read(resolve_relative(member.container, value))
        if value is None:
            raise FileNotFoundError(make_cell_uri(member.container, column, group, row))
        return bytes(value)


def _cell_entries(file: Entry, parquet: pq.ParquetFile, column: str, has_paths: bool) -> Iterator[Entry]:
    number = 0
    for group in range(parquet.num_row_groups):
        row_group = parquet.metadata.row_group(group)
        sizes = [row_group.column(index).total_compressed_size for index in range(row_group.num_columns)]
        mean_size = sum(sizes) // max(1, row_group.num_rows)
        paths = _read_paths(parquet, group, column) if has_paths else [None] * row_group.num_rows
        for row, path in enumerate(paths):
            name = sanitize_path(path or "").rpartition("/")[2]
            suffix = "." + name.rpartition(".")[2] if has_image_extension(name) else ""
            uri, key = make_cell_uri(file.uri, column, group, row), f"{file.key}/{number:08d}{suffix}"
            yield Entry(uri, key, mean_size, file.etag, file.mtime)
            number += 1


def _read_paths(parquet: pq.ParquetFile, group: int, column: str) -> list[str | None]:
    """Return the paths of the structs in a row group, without their bytes."""
    cells = parquet.read_row_group(group, columns=[f"{column}.path"]).column(column)
    paths: list[str | None] = cells.combine_chunks().field("path").to_pylist()
    return paths


def _read_cell(container: str, column: str, group: int, row: int) -> Any:  # noqa: ANN401 — whatever a cell holds
    lock = _ROW_GROUP_LOCKS[hash((container, group)) % len(_ROW_GROUP_LOCKS)]
    try:
        with lock:  # one thread reads the row group, and the others find it in the cache
            return _read_row_group(container, column, group)[row].as_py()
    except pa.ArrowException as error:
        raise ContainerError(f"{container}: row group {group} cannot be read: {error}") from error


@lru_cache(maxsize=2)
def _read_row_group(container: str, column: str, group: int) -> Any:  # noqa: ANN401 — pyarrow has no types
    with open_container(container) as file, pq.ParquetFile(file) as parquet:
        return parquet.read_row_group(group, columns=[column]).column(column)


def _is_string_type(dtype: pa.DataType) -> bool:
    if pa.types.is_dictionary(dtype):
        dtype = dtype.value_type
    return any(is_text(dtype) for is_text in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _column_type(schema: pa.Schema, column: str, uri: str) -> pa.DataType:
    """Return the type of a column.

    Raises:
        StorageError: there is no such column, or it can hold neither photos nor URIs.
    """
    dtype = schema.field(column).type if column in schema.names else None
    is_supported = dtype is not None and (
        _is_string_type(dtype)
        or pa.types.is_binary(dtype)
        or pa.types.is_large_binary(dtype)
        or pa.types.is_binary_view(dtype)
        or (pa.types.is_struct(dtype) and {"bytes", "path"} <= {field.name for field in dtype})
    )
    if not is_supported:
        raise StorageError(
            f"{uri} has no column '{column}' of bytes, {{bytes, path}} or URIs; its columns are "
            f"{', '.join(schema.names)}: name one after the file, as in photos.parquet#scan"
        )
    return dtype
