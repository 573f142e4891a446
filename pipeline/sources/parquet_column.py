"""A column of a Parquet file that holds photos, or their URIs."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from os import SEEK_END
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import ContainerError, ErrorCode, ImageError, StorageError
from pipeline.imageio import has_image_extension
from pipeline.sources.allowed_names import resolve_name
from pipeline.sources.member_uri import MAX_NAME_BYTES, ArchiveMember, make_cell_uri, sanitize_path
from pipeline.sources.parquet_cells import RowGroupReader, iter_cell_batches, largest_page_bytes, open_parquet
from pipeline.sources.photo_list import resolve_names
from pipeline.storage import Entry, read

_ROW_GROUP_LOCKS = tuple(threading.Lock() for _ in range(8))
_BATCH_BYTES, _MAX_BATCH_ROWS = 16 * 2**20, 4096  # of names that are decoded at a time
_MAX_REPEATED_ROWS = 10_000
_MAX_NAMES_PAGE_BYTES = 256 * 2**20


class ParquetColumn:
    """Bytes, structs of bytes and perhaps a path as Hugging Face stores them, or URIs; of any of Arrow's types."""

    has_columns = True

    def entries(self, file: Entry, column: str, allow: Sequence[str] = ()) -> Iterator[Entry]:
        """Yield a photo for each row, or for each URI."""
        with open_parquet(file.uri) as (stream, parquet):
            _check_row_count(parquet.metadata.num_rows, stream.seek(0, SEEK_END))
            dtype = _column_type(parquet.schema_arrow, column)
            if dtype is None:
                raise ContainerError(_no_column_message(parquet.schema_arrow, column, file.uri))
            if not _is_string_type(dtype):
                yield from _cell_entries(file, stream, parquet, column, _has_field(dtype, "path"))
                return
            names = list(_iter_names(file.uri, stream, parquet, column))
        yield from resolve_names(names, file.uri, allow)

    def other_names(self, file: Entry) -> Iterator[str]:
        """Return nothing: every cell is a photo."""
        return iter(())

    def names_photos(self, files: Sequence[Entry], column: str) -> bool:
        """Whether the column holds URIs, by the first file that can be read.

        Raises:
            StorageError: that file has no such column, or it can hold neither photos nor URIs.
        """
        for file in files:
            with suppress(ContainerError, MemoryError), open_parquet(file.uri) as (_, parquet):
                schema = parquet.schema_arrow
                dtype = _column_type(schema, column)
                if dtype is None:
                    raise StorageError(_no_column_message(schema, column, file.uri))
                return _is_string_type(dtype)
        return False

    def read_member(self, member: ArchiveMember, max_bytes: int | None, allow: Sequence[str] = ()) -> bytes:
        """Read a cell, or the file whose path it holds instead of bytes."""
        column, group, row = member.parse_cell()
        lock = _ROW_GROUP_LOCKS[hash((member.container, group)) % len(_ROW_GROUP_LOCKS)]
        with lock:  # one thread decodes the row group, and the others find its cells there
            value = _read_row_group(member.container, column, group, max_bytes).read(row)
        if isinstance(value, dict):
            value = value["bytes"] if value.get("bytes") is not None else value.get("path")
        if isinstance(value, str):
            if (size := len(value.encode())) > MAX_NAME_BYTES:
                raise ImageError(
                    ErrorCode.UNSAFE_NAME, f"the cell holds a name of {size} bytes; at most {MAX_NAME_BYTES} are read"
                )
            return read(resolve_name(value, member.container, allow), max_bytes)
        if value is None:
            raise ImageError(
                ErrorCode.EMPTY_FILE,
                f"the cell in row {row} of row group {group}, column '{column}', is null: it holds no photo and names "
                "none",
            )
        return bytes(value)


_read_row_group = lru_cache(maxsize=2)(RowGroupReader)


def _check_row_count(n_rows: int, n_bytes: int) -> None:
    """Check that a file has a byte for each of its rows; a few bytes can stand for any number of repeated ones."""
    if n_rows > max(_MAX_REPEATED_ROWS, n_bytes):
        raise ValueError(f"it has {n_rows} rows in {n_bytes} bytes")


def _cell_entries(
    file: Entry, stream: BinaryIO, parquet: pq.ParquetFile, column: str, has_paths: bool
) -> Iterator[Entry]:
    number = 0
    for group in range(parquet.num_row_groups):
        row_group = parquet.metadata.row_group(group)
        sizes = [row_group.column(index).total_compressed_size for index in range(row_group.num_columns)]
        mean_size = sum(sizes) // max(1, row_group.num_rows)
        suffixes = _read_suffixes(stream, parquet, group, column) if has_paths else []
        for row in range(row_group.num_rows):
            suffix = suffixes[row] if suffixes else ""
            uri, key = make_cell_uri(file.uri, column, group, row), f"{file.key}/{number:08d}{suffix}"
            yield Entry(uri, key, mean_size, file.etag, file.mtime)
            number += 1


def _read_suffixes(stream: BinaryIO, parquet: pq.ParquetFile, group: int, column: str) -> list[str]:
    """Return the suffixes of the paths of the structs in a row group; none if they cannot be read.

    Then each of the cells fails when it is read, for that reason.
    """
    leaf = f"{column}.path"
    try:
        return [
            _image_suffix(path)
            for cells in iter_cell_batches(parquet, group, [leaf], _batch_rows(stream, parquet, group, leaf))
            for path in _short_texts(cells.field("path"))
        ]
    except (StorageError, FileNotFoundError):
        raise
    except Exception:  # readers raise anything over corrupt bytes
        return []


def _image_suffix(path: str | None) -> str:
    name = sanitize_path(path or "").rpartition("/")[2]
    return "." + name.rpartition(".")[2] if has_image_extension(name) else ""


def _iter_names(uri: str, stream: BinaryIO, parquet: pq.ParquetFile, column: str) -> Iterator[str]:
    """Yield the names in a column; in place of one that is too long, the URI of its cell, which fails when it is read.

    Empty cells are left out.
    """
    for group in range(parquet.num_row_groups):
        row = 0
        for cells in iter_cell_batches(parquet, group, [column], _batch_rows(stream, parquet, group, column)):
            for is_valid, name in zip(cells.is_valid().to_pylist(), _short_texts(cells), strict=True):
                if is_valid and name != "":
                    yield make_cell_uri(uri, column, group, row) if name is None else name
                row += 1


def _short_texts(cells: pa.Array) -> list[str | None]:
    """Return texts; None for those that are longer than a name may be."""
    texts = pc.cast(cells, pa.large_string())
    is_short = pc.less_equal(pc.binary_length(texts), MAX_NAME_BYTES)
    found: list[str | None] = pc.if_else(is_short, texts, pa.scalar(None, pa.large_string())).to_pylist()
    return found


def _batch_rows(stream: BinaryIO, parquet: pq.ParquetFile, group: int, leaf: str) -> int:
    """Return how many rows of texts can be decoded at a time, whatever a dictionary makes of them.

    Raises:
        ValueError: a single page would take too much memory.
    """
    page_bytes = largest_page_bytes(stream, parquet, group, leaf)
    if page_bytes > _MAX_NAMES_PAGE_BYTES:
        raise ValueError(f"row group {group} has a page of names of {page_bytes} bytes")
    return max(1, min(_MAX_BATCH_ROWS, _BATCH_BYTES // max(1, page_bytes)))


def _is_string_type(dtype: pa.DataType) -> bool:
    dtype = _value_type(dtype)
    return any(is_text(dtype) for is_text in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _is_bytes_type(dtype: pa.DataType) -> bool:
    dtype = _value_type(dtype)
    return any(is_bytes(dtype) for is_bytes in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view))


def _value_type(dtype: pa.DataType) -> pa.DataType:
    """Return the type of the values of a dictionary-encoded column; that of any other column itself."""
    return dtype.value_type if pa.types.is_dictionary(dtype) else dtype


def _has_field(dtype: pa.DataType, name: str) -> bool:
    return bool(pa.types.is_struct(dtype) and dtype.get_field_index(name) >= 0)


def _is_image_struct(dtype: pa.DataType) -> bool:
    """Whether the cells are structs with bytes, and with a text if there is a path; either may be null everywhere."""
    if not _has_field(dtype, "bytes"):
        return False
    data, path = dtype.field("bytes").type, dtype.field("path").type if _has_field(dtype, "path") else pa.null()
    return (pa.types.is_null(data) or _is_bytes_type(data)) and (pa.types.is_null(path) or _is_string_type(path))


def _column_type(schema: pa.Schema, column: str) -> pa.DataType | None:
    """Return the type of a column; None if there is none, or if it can hold neither photos nor URIs."""
    dtype = schema.field(column).type if column in schema.names else None
    is_supported = dtype is not None and (_is_string_type(dtype) or _is_bytes_type(dtype) or _is_image_struct(dtype))
    return dtype if is_supported else None


def _no_column_message(schema: pa.Schema, column: str, uri: str) -> str:
    return (
        f"{uri} has no column '{column}' of bytes, {{bytes, path}} or URIs; its columns are "
        f"{', '.join(schema.names)}: name one after the file, as in photos.parquet#scan"
    )
