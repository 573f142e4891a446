"""Tar and ZIP files: their indexes, the photos among their members, and reading one."""

import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from pipeline.errors import ContainerError
from pipeline.imageio import has_image_extension
from pipeline.sources.container import open_container
from pipeline.sources.member_uri import ArchiveMember, make_member_uri, sanitize_path
from pipeline.sources.zip_member import MAX_OVERHEAD_BYTES, extract_member
from pipeline.storage import Entry, escape_filename, read_range

ArchiveIndex = tuple[tuple[str, int, int], ...]
"""Of each member: its name, where it starts, and how many bytes it takes."""
_PARSER_ERRORS = (ValueError, ArithmeticError, LookupError, EOFError, NotImplementedError, struct.error)
"""What the readers of tars and ZIP files also raise over corrupt bytes."""


@lru_cache(maxsize=4)
def read_tar_index(uri: str) -> ArchiveIndex:
    """Return the names of a tar's files, where their bytes start, and how many they are.

    Raises:
        ContainerError: it is not a tar file, or a corrupt one.
        StorageError: it cannot be read.
    """
    try:
        with open_container(uri) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            return tuple(
                (escape_filename(member.name), member.offset_data, member.size) for member in tar if member.isreg()
            )
    except (tarfile.TarError, *_PARSER_ERRORS) as error:
        raise ContainerError(f"{uri} is not a tar file, or a corrupt one: {error}") from error


def read_zip_index(uri: str) -> ArchiveIndex:
    """Return the names of a ZIP file's members, where their headers start, and how many bytes their data take.

    Raises:
        ContainerError: it is not a ZIP file, or a corrupt one.
        StorageError: it cannot be read.
    """
    try:
        with open_container(uri) as file, zipfile.ZipFile(file) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            return tuple((info.filename, info.header_offset, info.compress_size) for info in infos)
    except (zipfile.BadZipFile, *_PARSER_ERRORS) as error:
        raise ContainerError(f"{uri} is not a ZIP file, or a corrupt one: {error}") from error


class _Archive:
    """A file with an index of its members."""

    has_columns = False

    def __init__(self, read_index: Callable[[str], ArchiveIndex]) -> None:
        self._read_index = read_index

    def entries(self, file: Entry, column: str, allow: Sequence[str] = ()) -> Iterator[Entry]:
        """Yield the members whose names have the extension of a photo."""
        found: dict[str, Entry] = {}
        for name, start, size in self._read_index(file.uri):
            if not has_image_extension(name):
                continue
            key = f"{file.key}/{sanitize_path(name)}"
            if key in found:
                raise ContainerError(
                    f"{file.uri} holds two photos named {name}, whose results would be one file: rename one of them"
                )
            found[key] = Entry(make_member_uri(file.uri, start, size, name), key, size, file.etag, file.mtime)
        yield from (found[key] for key in sorted(found))

    def names_photos(self, files: Sequence[Entry], column: str) -> bool:
        """Return False: the photos are in the files."""
        return False


class TarArchive(_Archive):
    """An uncompressed tar file, such as a shard of WebDataset."""

    def __init__(self) -> None:
        super().__init__(read_tar_index)

    def read_member(self, member: ArchiveMember, max_bytes: int | None, allow: Sequence[str] = ()) -> bytes:
        """Read a range of the file."""
        start, size = member.parse_range(max_bytes)
        return read_range(member.container, start, start + size)


class ZipArchive(_Archive):
    """A ZIP file whose members are stored or deflated."""

    def __init__(self) -> None:
        super().__init__(read_zip_index)

    def read_member(self, member: ArchiveMember, max_bytes: int | None, allow: Sequence[str] = ()) -> bytes:
        """Read a range of the file, and check and inflate it."""
        start, size = member.parse_range(max_bytes)
        data = read_range(member.container, start, start + size + MAX_OVERHEAD_BYTES)
        return extract_member(data, size, max_bytes)
