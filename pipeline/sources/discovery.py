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
from pipeline.imageio.extensions import has_image_suffix
from pipeline.sources.lists import named, names_in, told_apart
from pipeline.sources.members import clean, member_uri
from pipeline.storage.filenames import shown
from pipeline.storage.listing import listing
from pipeline.storage.objects import Entry
from pipeline.storage.ranged_file import opened

COLUMN = "image"
"""The column of a Parquet file that holds photos unless another is named."""
_ODD = (ValueError, ArithmeticError, LookupError, EOFError, NotImplementedError, struct.error)
"""What the readers of tars and ZIP files raise, too, over bytes that are not what they say."""
_KINDS = re.compile(r"(?P<place>.+\.(?P<kind>tar|zip|parquet|txt))(#(?P<column>[^/#]+))?", re.IGNORECASE | re.DOTALL)


def photos(uri: str) -> Iterator[Entry]:
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
    match = _KINDS.fullmatch(uri)
    if match is None or (match["column"] and match["kind"].lower() != "parquet"):
        yield from listing(uri)
        return
    kind = match["kind"].lower()
    files = sorted(listing(match["place"]), key=lambda entry: entry.key + "/")
    if kind == "txt":
        yield from _each_once(named(names_in(file.uri), file.uri) for file in files)
        return
    column = match["column"] or COLUMN
    all_inside = (_rows(file, column) if kind == "parquet" else _members(file, _INDEXES[kind]) for file in files)
    if len(files) > 1:
        all_inside = (_or_itself(file, inside) for file, inside in zip(files, all_inside, strict=True))
    if kind == "parquet" and _name_photos(files, column):
        yield from _each_once(all_inside)
    else:
        yield from chain.from_iterable(all_inside)


def _each_once(lists: Iterable[Iterator[Entry]]) -> Iterator[Entry]:
    """Photos that several lists name, in the order of their keys."""
    for key, same in groupby(heapq.merge(*lists, key=attrgetter("key")), key=attrgetter("key")):
        first, *others = same
        if other := next((entry for entry in others if entry.uri != first.uri), None):
            raise StorageError(told_apart(first.uri, other.uri, key))
        yield first


def _or_itself(file: Entry, inside: Iterator[Entry]) -> Iterator[Entry]:
    """The photos of one container of several; where they cannot be told, itself, which becomes a failed row."""
    try:
        first = next(inside, None)
    except ContainerError:
        yield file._replace(key=f"{file.key}/{file.key.rpartition('/')[2]}")
        return
    if first is not None:
        yield first
        yield from inside


def _members(file: Entry, index: Callable[[str], tuple[tuple[str, int, int], ...]]) -> Iterator[Entry]:
    """The photos among the members of a tar or ZIP file."""
    found: dict[str, Entry] = {}
    for name, start, size in index(file.uri):
        if not has_image_suffix(name):
            continue
        key = f"{file.key}/{clean(name)}"
        if key in found:
            raise ContainerError(
                f"{file.uri} holds two photos of the name {name}; their results could not be told apart"
            )
        found[key] = Entry(member_uri(file.uri, start, size, name), key, size, file.etag, file.mtime)
    yield from (found[key] for key in sorted(found))


@lru_cache(maxsize=4)
def tar_index(uri: str) -> tuple[tuple[str, int, int], ...]:
    """Names of a tar's files, where their bytes start and how many they are.

    Raises:
        StorageError: it is no tar.
    """
    try:
        with opened(uri) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            return tuple((shown(member.name), member.offset_data, member.size) for member in tar if member.isreg())
    except (tarfile.TarError, *_ODD) as error:
        raise ContainerError(f"{uri} is no tar file, or one that is damaged: {error}") from error


def zip_index(uri: str) -> tuple[tuple[str, int, int], ...]:
    """Names of a ZIP's files, where their headers start and how many bytes they take.

    Raises:
        StorageError: it is no ZIP file.
    """
    try:
        with opened(uri) as file, zipfile.ZipFile(file) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            return tuple((info.filename, info.header_offset, info.compress_size) for info in infos)
    except (zipfile.BadZipFile, *_ODD) as error:
        raise ContainerError(f"{uri} is no ZIP file, or one that is damaged: {error}") from error


_INDEXES: dict[str, Callable[[str], tuple[tuple[str, int, int], ...]]] = {"tar": tar_index, "zip": zip_index}


def _rows(file: Entry, column: str) -> Iterator[Entry]:
    """The photos of a Parquet column: bytes, bytes with a path as Hugging Face stores them, or URIs."""
    try:
        with opened(file.uri) as stream, pq.ParquetFile(stream) as parquet:
            kind = _column_type(parquet.schema_arrow, column, file.uri)
            if not _is_text(kind):
                yield from _cells(file, parquet, column, pa.types.is_struct(kind))
                return
            names = parquet.read(columns=[column]).column(column).to_pylist()
    except pa.ArrowInvalid as error:
        raise ContainerError(f"{file.uri} is no Parquet file, or one that is damaged: {error}") from error
    yield from named(filter(None, names), file.uri)


def _cells(file: Entry, parquet: pq.ParquetFile, column: str, struct: bool) -> Iterator[Entry]:
    number = 0
    for group in range(parquet.num_row_groups):
        about = parquet.metadata.row_group(group)
        sizes = [about.column(place).total_compressed_size for place in range(about.num_columns)]
        size = sum(sizes) // max(1, about.num_rows)
        paths: list[str | None] = [None] * about.num_rows
        if struct:
            paths = (
                parquet.read_row_group(group, columns=[f"{column}.path"])
                .column(column)
                .combine_chunks()
                .field("path")
                .to_pylist()
            )
        for row, path in enumerate(paths):
            name = clean(path or "").rpartition("/")[2]
            suffix = "." + name.rpartition(".")[2] if has_image_suffix(name) else ""
            uri = f"{file.uri}#{column}/{group}/{row}"
            yield Entry(uri, f"{file.key}/{number:08d}{suffix}", size, file.etag, file.mtime)
            number += 1


def _name_photos(files: Iterable[Entry], column: str) -> bool:
    """Whether a column of Parquet files holds URIs, by the first that can be read."""
    for file in files:
        with suppress(pa.ArrowInvalid, ContainerError), opened(file.uri) as stream, pq.ParquetFile(stream) as parquet:
            return _is_text(_column_type(parquet.schema_arrow, column, file.uri))
    return False


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return any(is_text(kind) for is_text in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _column_type(schema: pa.Schema, column: str, uri: str) -> pa.DataType:
    kind = schema.field(column).type if column in schema.names else None
    holds = kind is not None and (
        _is_text(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or (pa.types.is_struct(kind) and {"bytes", "path"} <= {field.name for field in kind})
    )
    if not holds:
        raise StorageError(
            f"{uri} has no column '{column}' of bytes, {{bytes, path}} or URIs; there are {', '.join(schema.names)}: "
            "name one behind the file, as in photos.parquet#scan"
        )
    return kind
