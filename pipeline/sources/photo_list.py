"""Lists of photos: a text file of URIs and paths, and what such names mean."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from pipeline.errors import ContainerError, StorageError, TooLargeError
from pipeline.sources.allowed_names import resolve_name
from pipeline.sources.list_lines import parse_lines
from pipeline.sources.member_uri import ArchiveMember, parse_member_uri, sanitize_path
from pipeline.storage import Entry, prefetch_map, read, stat, strip_protocol, unescape_hashes

MAX_LIST_BYTES = 2**30
"""The most bytes of a list: ten million names of 100 characters."""
_STAT_THREADS, _MAX_STATS_AHEAD = 32, 256


class PhotoList:
    """A `.txt` file that names photos, one a line (`pipeline.sources.list_lines`)."""

    has_columns = False

    def entries(self, file: Entry, column: str, allow: Sequence[str] = ()) -> Iterator[Entry]:
        """Yield the photos that the file names."""
        try:
            names = read_list(file.uri)
        except TooLargeError as error:
            raise StorageError(f"{error}: split the list into several, and name these by a glob") from error
        return resolve_names(names, file.uri, allow)

    def other_names(self, file: Entry) -> Iterator[str]:
        """Return nothing: every name is that of a photo."""
        return iter(())

    def names_photos(self, files: Sequence[Entry], column: str) -> bool:
        """Return True."""
        return True

    def read_member(self, member: ArchiveMember, max_bytes: int | None, allow: Sequence[str] = ()) -> bytes:
        """Refuse: the photos have URIs of their own."""
        raise ContainerError(f"{member.container} is a list and holds no photos: read the photos that it names")


def read_list(uri: str) -> Iterator[str]:
    """Return the names in a list file; `pipeline.sources.list_lines` has the format.

    Raises:
        StorageError: it cannot be read, is not UTF-8, or has a line of JSON that is none.
    """
    data = read(uri, MAX_LIST_BYTES)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise StorageError(
            f"{uri} is not a list in UTF-8: line {line} has the byte {data[error.start]:#x}; save the list as UTF-8"
        ) from error
    return _parse(text, uri)


def _parse(text: str, uri: str) -> Iterator[str]:
    try:
        yield from parse_lines(text)
    except ValueError as error:
        raise StorageError(f"{uri}: {error}; correct the line, or let 'deepot select --to' write the list") from error


def resolve_names(names: Iterable[str], container: str, allow: Sequence[str] = ()) -> Iterator[Entry]:
    """Stream the photos of some names, in the order of their keys, each once.

    Storage is asked for the state of each of them, so that a photo that changes is noticed. If it gives none, size,
    etag and mtime stay empty; reading the photo then reports why.

    Args:
        names: URIs and paths.
        container: URI of the file that names them; relative paths start in its folder.
        allow: prefixes of further URIs that a container which is not local may name.

    Raises:
        NotAllowedError: one of them may not be named.
        StorageError: two of them would have one result, or one is too long.
    """
    uris: dict[str, str] = {}
    for uri in (resolve_name(name, container, allow) for name in names):
        other = uris.setdefault(_key_from_uri(uri), uri)
        if other != uri:
            raise StorageError(f"{container}: {name_clash_message(other, uri, _key_from_uri(uri))}")
    stat_container = lru_cache(maxsize=256)(stat)

    def make_entry(key: str) -> Entry:
        uri = uris[key]
        member = parse_member_uri(uri)
        try:
            found = stat(uri) if member is None else stat_container(member.container)
        except (FileNotFoundError, StorageError):
            return Entry(uri, key, 0, "", 0.0)
        return Entry(uri, key, found.size if member is None else member.size, found.etag, found.mtime)

    yield from (entry for _, entry in prefetch_map(make_entry, sorted(uris), _STAT_THREADS, _MAX_STATS_AHEAD))


def name_clash_message(one: str, other: str, key: str) -> str:
    """Return the message about two photos whose results would be one file."""
    return f"{one} and {other} would both have the result {key}: name only one of them"


def _key_from_uri(uri: str) -> str:
    return sanitize_path(unescape_hashes(strip_protocol(uri)))
