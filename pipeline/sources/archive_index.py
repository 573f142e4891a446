"""The indexes of tars and ZIP files: their members, and where the bytes of each are."""

import struct
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, BinaryIO, NamedTuple, cast

from pipeline.errors import ContainerError
from pipeline.imageio import has_image_extension
from pipeline.sources.container import open_container
from pipeline.sources.member_uri import MAX_NAME_BYTES
from pipeline.sources.tar_headers import MAX_MEMBERS, TarMember, iter_tar_members
from pipeline.sources.tar_links import LinkResolver
from pipeline.storage import escape_filename

_MAX_DIRECTORY_BYTES = 2**27  # of a ZIP file: about a million members
_ZIP_HEADER_BYTES = 30  # without the name
_PARSER_ERRORS = (
    *(ValueError, ArithmeticError, LookupError, EOFError, NotImplementedError, struct.error),
    *(MemoryError, RecursionError, tarfile.TarError, zipfile.BadZipFile, zipfile.LargeZipFile),
)
"""What the readers of tars and ZIP files raise over corrupt bytes, and where one asks for too much."""


class IndexEntry(NamedTuple):
    """A member of a tar or ZIP file.

    Attributes:
        name: its name, in characters that can be stored.
        start: where its bytes start; where its headers start if it has to be read through them.
        size: bytes that it takes; bytes of the file if it is read through its headers.
        by_headers: whether its headers have to be read first: a sparse file, or one that cannot be read.
    """

    name: str
    start: int
    size: int
    by_headers: bool = False


ArchiveIndex = tuple[IndexEntry, ...]


@lru_cache(maxsize=4)
def read_tar_index(uri: str) -> ArchiveIndex:
    """Return the files of a tar, links to them included, and everything else there that is called like a photo.

    Raises:
        ContainerError: it is not a tar file, or a corrupt one.
        StorageError: it cannot be read.
    """
    with _parser_errors(f"{uri} is not a tar file, or a corrupt one"), open_container(uri) as file:
        members = list(iter_tar_members(file))
        links = LinkResolver(members if any(member.is_link for member in members) else ())
        return tuple(
            entry
            for member in members
            if not member.is_folder and (entry := _make_entry(member, links.find_file(member))) is not None
        )


def _make_entry(member: TarMember, file: TarMember | None) -> IndexEntry | None:
    """Return the entry of a member whose bytes are those of `file`; None if it has none and is not called a photo."""
    name = escape_filename(member.name)
    if file is None:
        return IndexEntry(name, member.header_offset, 0, True) if has_image_extension(name) else None
    if file.sparse_map is not None:
        return IndexEntry(name, file.header_offset, file.size, True)
    return IndexEntry(name, file.data_offset, file.size)


@lru_cache(maxsize=4)
def read_zip_index(uri: str) -> ArchiveIndex:
    """Return the members of a ZIP file: where their headers start, and how many bytes their data take.

    Raises:
        ContainerError: it is not a ZIP file, a corrupt one, or one with members that overlap.
        StorageError: it cannot be read.
    """
    with _parser_errors(f"{uri} is not a ZIP file, or a corrupt one"), open_container(uri) as file:
        with zipfile.ZipFile(cast(BinaryIO, _BoundedReads(file))) as archive:
            infos = archive.infolist()
        _check_zip_members(infos, archive.start_dir)
        return tuple(
            IndexEntry(info.filename, info.header_offset, info.compress_size) for info in infos if not info.is_dir()
        )


def _check_zip_members(infos: list[zipfile.ZipInfo], directory_start: int) -> None:
    """Raise ValueError if members are too many, have names that are too long, overlap, or are outside the file."""
    if len(infos) > MAX_MEMBERS:
        raise ValueError(f"it has more than {MAX_MEMBERS} members; split it")
    free_from = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if (length := len(info.filename.encode(errors="surrogateescape"))) > MAX_NAME_BYTES:
            raise ValueError(f"the name {info.filename[:99]!r}… has {length} bytes; at most {MAX_NAME_BYTES}")
        end = info.header_offset + _ZIP_HEADER_BYTES + info.compress_size
        if info.header_offset < free_from or end > directory_start:
            raise ValueError(f"the member {info.filename[:99]!r} overlaps another one or the directory")
        free_from = end


class _BoundedReads:
    """A file for `zipfile`, which reads the directory of a ZIP file by one call, however large it is."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """Read at most `_MAX_DIRECTORY_BYTES`."""
        if size > _MAX_DIRECTORY_BYTES:
            raise ValueError(f"its directory has {size} bytes; at most {_MAX_DIRECTORY_BYTES}: split it")
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 — whatever the file has
        return getattr(self._file, name)


@contextmanager
def _parser_errors(message: str) -> Iterator[None]:
    """Turn what the readers raise into a ContainerError."""
    try:
        yield
    except _PARSER_ERRORS as error:
        raise ContainerError(f"{message}: {str(error) or type(error).__name__}") from error
