"""Containers: the photos that tar shards, ZIP files, Parquet columns and lists name, as entries of a plan."""

import heapq
import re
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from itertools import chain, groupby
from operator import attrgetter

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import ContainerError, StorageError
from pipeline.imageio import has_image_extension
from pipeline.sources.lists import name_clash_message, read_list, resolve_names
from pipeline.sources.members import make_member_uri, sanitize_path
from pipeline.storage import Entry, escape_filename, list_objects, open_ranged

DEFAULT_COLUMN = "image"
"""The column of a Parquet file that holds photos unless another is named."""
_PARSER_ERRORS = (ValueError, ArithmeticError, LookupError, EOFError, NotImplementedError, struct.error)
"""What the readers of tars and ZIP files raise, too, over bytes that are not what they say."""
_CONTAINER_URI = re.compile(
    r"(?P<place>.+\.(?P<kind>tar|zip|parquet|txt))(#(?P<column>[^/#]+))?", re.IGNORECASE | re.DOTALL
)


def list_images(uri: str) -> Iterator[Entry]:
    """Every image below a folder, by its extension, every file that matches a glob, or one file."""
    return list_objects(uri, has_image_extension)


def discover_images(uri: str) -> Iterator[Entry]:
    """The photos that a URI names, in the order of their keys.

    Args:
        uri: a folder, glob or file; or a file or glob of `.tar`, `.zip` or `.parquet` (`#column` behind it says which
            one, `image` if none is named) for the photos inside of them; or of `.txt`, a list of photos a line.

    Raises:
        FileNotFoundError: no such folder, bucket or file.
        StorageError: it cannot be listed or read.
        ContainerError: the photos inside of the only container cannot be told; one of several is given itself then.
    """
    if re.search(r"\.(tar\.\w+|tgz)$", uri, re.IGNORECASE):
        raise StorageError(f"{uri}: photos in a compressed tar cannot be read one by one; decompress it to .tar")
    match = _CONTAINER_URI.fullmatch(uri)
    if match is None or (match["column"] and match["kind"].lower() != "parquet"):
        yield from list_images(uri)
        return
    kind = match["kind"].lower()
    files = sorted(list_images(match["place"]), key=lambda entry: entry.key + "/")
    if kind == "txt":
        yield from _merge_unique(resolve_names(read_list(file.uri), file.uri) for file in files)
        return
    column = match["column"] or DEFAULT_COLUMN
    entries_by_file = (
        _parquet_entries(file, column) if kind == "parquet" else _archive_entries(file, _INDEX_READERS[kind])
        for file in files
    )
    if len(files) > 1:
        entries_by_file = (_or_failed_entry(file, inside) for file, inside in zip(files, entries_by_file, strict=True))
    if kind == "parquet" and _column_holds_uris(files, column):
        yield from _merge_unique(entries_by_file)
    else:
        yield from chain.from_iterable(entries_by_file)


def _merge_unique(lists: Iterable[Iterator[Entry]]) -> Iterator[Entry]:
    """Photos that several lists name, in the order of their keys."""
    for key, entries in groupby(heapq.merge(*lists, key=attrgetter("key")), key=attrgetter("key")):
        first, *others = entries
        if other := next((entry for entry in others if entry.uri != first.uri), None):
            raise StorageError(name_clash_message(first.uri, other.uri, key))
        yield first


def _or_failed_entry(file: Entry, entries: Iterator[Entry]) -> Iterator[Entry]:
    """The photos of one container of several; where they cannot be told, itself, which becomes a failed row."""
    try:
        first = next(entries, None)
    except ContainerError:
        yield file._replace(key=f"{file.key}/{file.key.rpartition('/')[2]}")
        return
    if first is not None:
        yield first
        yield from entries


def _archive_entries(file: Entry, read_index: Callable[[str], tuple[tuple[str, int, int], ...]]) -> Iterator[Entry]:
    """The photos among the members of a tar or ZIP file."""
    found: dict[str, Entry] = {}
    for name, start, size in read_index(file.uri):
        if not has_image_extension(name):
            continue
        key = f"{file.key}/{sanitize_path(name)}"
        if key in found:
            raise ContainerError(
                f"{file.uri} holds two photos of the name {name}; their results could not be told apart"
            )
        found[key] = Entry(make_member_uri(file.uri, start, size, name), key, size, file.etag, file.mtime)
    yield from (found[key] for key in sorted(found))


@lru_cache(maxsize=4)
def read_tar_index(uri: str) -> tuple[tuple[str, int, int], ...]:
    """Names of a tar's files, where their bytes start and how many they are.

    Raises:
        StorageError: it is no tar.
    """
    try:
        with open_ranged(uri) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            return tuple(
                (escape_filename(member.name), member.offset_data, member.size) for member in tar if member.isreg()
            )
    except (tarfile.TarError, *_PARSER_ERRORS) as error:
        raise ContainerError(f"{uri} is no tar file, or one that is damaged: {error}") from error


def read_zip_index(uri: str) -> tuple[tuple[str, int, int], ...]:
    """Names of a ZIP's files, where their headers start and how many bytes they take.

    Raises:
        StorageError: it is no ZIP file.
    """
    try:
        with open_ranged(uri) as file, zipfile.ZipFile(file) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            return tuple((info.filename, info.header_offset, info.compress_size) for info in infos)
    except (zipfile.BadZipFile, *_PARSER_ERRORS) as error:
        raise ContainerError(f"{uri} is no ZIP file, or one that is damaged: {error}") from error


_INDEX_READERS: dict[str, Callable[[str], tuple[tuple[str, int, int], ...]]] = {
    "tar": read_tar_index,
    "zip": read_zip_index,
}


def _parquet_entries(file: Entry, column: str) -> Iterator[Entry]:
    """The photos of a Parquet column: bytes, bytes with a path as Hugging Face stores them, or URIs."""
    try:
        with open_ranged(file.uri) as stream, pq.ParquetFile(stream) as parquet:
            dtype = _column_type(parquet.schema_arrow, column, file.uri)
            if not _is_string_type(dtype):
                yield from _cell_entries(file, parquet, column, pa.types.is_struct(dtype))
                return
            names = parquet.read(columns=[column]).column(column).to_pylist()
    except pa.ArrowInvalid as error:
        raise ContainerError(f"{file.uri} is no Parquet file, or one that is damaged: {error}") from error
    yield from resolve_names(filter(None, names), file.uri)


def _cell_entries(file: Entry, parquet: pq.ParquetFile, column: str, has_paths: bool) -> Iterator[Entry]:
    number = 0
    for group in range(parquet.num_row_groups):
        row_group = parquet.metadata.row_group(group)
        sizes = [row_group.column(place).total_compressed_size for place in range(row_group.num_columns)]
        size = sum(sizes) // max(1, row_group.num_rows)
        paths: list[str | None] = [None] * row_group.num_rows
        if has_paths:
            paths = (
                parquet.read_row_group(group, columns=[f"{column}.path"])
                .column(column)
                .combine_chunks()
                .field("path")
                .to_pylist()
            )
        for row, path in enumerate(paths):
            name = sanitize_path(path or "").rpartition("/")[2]
            suffix = "." + name.rpartition(".")[2] if has_image_extension(name) else ""
            uri = f"{file.uri}#{column}/{group}/{row}"
            yield Entry(uri, f"{file.key}/{number:08d}{suffix}", size, file.etag, file.mtime)
            number += 1


def _column_holds_uris(files: Iterable[Entry], column: str) -> bool:
    """Whether a column of Parquet files holds URIs, by the first that can be read."""
    for file in files:
        with (
            suppress(pa.ArrowInvalid, ContainerError),
            open_ranged(file.uri) as stream,
            pq.ParquetFile(stream) as parquet,
        ):
            return _is_string_type(_column_type(parquet.schema_arrow, column, file.uri))
    return False


def _is_string_type(dtype: pa.DataType) -> bool:
    if pa.types.is_dictionary(dtype):
        dtype = dtype.value_type
    return any(is_text(dtype) for is_text in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _column_type(schema: pa.Schema, column: str, uri: str) -> pa.DataType:
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
            f"{uri} has no column '{column}' of bytes, {{bytes, path}} or URIs; there are {', '.join(schema.names)}: "
            "name one behind the file, as in photos.parquet#scan"
        )
    return dtype
