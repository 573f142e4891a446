"""Tar and ZIP files: the photos among their members, and reading one."""

from collections.abc import Callable, Iterator, Sequence
from tarfile import TarError

from pipeline.errors import ContainerError, ErrorCode, ImageError
from pipeline.imageio import has_image_extension
from pipeline.sources.archive_index import ArchiveIndex, read_tar_index, read_zip_index
from pipeline.sources.container import open_container
from pipeline.sources.hidden_names import find_hidden_kind
from pipeline.sources.member_uri import ArchiveMember, make_member_uri, sanitize_path
from pipeline.sources.sparse_map import check_regions, expand, parse_sparse_map, read_stored_map
from pipeline.sources.tar_headers import TarMember, read_tar_member
from pipeline.sources.zip_member import MAX_OVERHEAD_BYTES, extract_member
from pipeline.storage import Entry, read_range


class _Archive:
    """A file with an index of its members."""

    has_columns = False

    def __init__(self, read_index: Callable[[str], ArchiveIndex]) -> None:
        self._read_index = read_index

    def entries(self, file: Entry, column: str, allow: Sequence[str] = ()) -> Iterator[Entry]:
        """Yield the members whose names have the extension of a photo, without hidden ones and those of systems."""
        found: dict[str, Entry] = {}
        for name, start, size, by_headers in self._read_index(file.uri):
            if not _is_photo_name(name):
                continue
            key = f"{file.key}/{sanitize_path(name)}"
            if key in found:
                raise ContainerError(
                    f"{file.uri} holds two photos named {name}, whose results would be one file: rename one of them"
                )
            uri = make_member_uri(file.uri, start, size, name, by_headers=by_headers)
            found[key] = Entry(uri, key, size, file.etag, file.mtime)
        yield from (found[key] for key in sorted(found))

    def other_names(self, file: Entry) -> Iterator[str]:
        """Yield the names of the other members."""
        return (name for name, *_ in self._read_index(file.uri) if not _is_photo_name(name))

    def names_photos(self, files: Sequence[Entry], column: str) -> bool:
        """Return False: the photos are in the files."""
        return False


def _is_photo_name(name: str) -> bool:
    return has_image_extension(name) and find_hidden_kind(name) is None


class TarArchive(_Archive):
    """An uncompressed tar file, such as a shard of WebDataset."""

    def __init__(self) -> None:
        super().__init__(read_tar_index)

    def read_member(self, member: ArchiveMember, max_bytes: int | None, allow: Sequence[str] = ()) -> bytes:
        """Read a range of the file; of a sparse member, whose zeros are not stored, its headers first."""
        start, size = member.parse_range(max_bytes)
        if member.by_headers:
            return _read_by_headers(member.container, start, max_bytes)
        data = read_range(member.container, start, start + size)
        if len(data) < size:
            raise ImageError(ErrorCode.DAMAGED, f"the tar ends {size - len(data)} bytes before the photo does")
        return data


class ZipArchive(_Archive):
    """A ZIP file whose members are stored or deflated."""

    def __init__(self) -> None:
        super().__init__(read_zip_index)

    def read_member(self, member: ArchiveMember, max_bytes: int | None, allow: Sequence[str] = ()) -> bytes:
        """Read a range of the file, and check and inflate it."""
        start, size = member.parse_range(max_bytes)
        data = read_range(member.container, start, start + size + MAX_OVERHEAD_BYTES)
        return extract_member(data, size, max_bytes)


def _read_by_headers(container: str, offset: int, max_bytes: int | None) -> bytes:
    """Read the member of a tar whose headers start at an offset.

    Raises:
        ImageError: it is a link that leads to no file, neither file nor link, corrupt, or larger than `max_bytes`.
    """
    try:
        with open_container(container) as file:
            member = read_tar_member(file, offset)
        if member.is_file:
            return _read_sparse(container, member, max_bytes)
    except (ValueError, TarError) as error:
        raise ImageError(ErrorCode.DAMAGED, f"the tar has no photo at byte {offset}: {error}") from error
    if member.is_link:
        raise ImageError(
            ErrorCode.MISSING,
            f"it is a link to '{member.link_name}', which leads to no file in the tar; store the photo itself",
        )
    raise ImageError(
        ErrorCode.UNSUPPORTED_FORMAT,
        f"it is no file but a member of type {member.type.decode('latin-1')!r}; store the photo as a regular file",
    )


def _read_sparse(container: str, member: TarMember, max_bytes: int | None) -> bytes:
    """Read the stored bytes of a sparse member, and put them where they belong.

    Raises:
        ImageError: it has more than `max_bytes`.
        ValueError: its map is corrupt.
    """
    if max_bytes is not None and member.size > max_bytes:
        raise ImageError(ErrorCode.TOO_LARGE, f"{member.size} bytes are more than limits.max_bytes = {max_bytes}")

    def read(start: int, end: int) -> bytes:
        return read_range(container, member.data_offset + start, member.data_offset + min(end, member.stored_size))

    if member.map_is_stored:
        regions, start = read_stored_map(read, member.stored_size)
    else:
        regions, start = parse_sparse_map(member.sparse_map or ""), 0
    check_regions(regions, member.size)
    return expand(read(start, start + sum(length for _, length in regions)), regions, member.size)
