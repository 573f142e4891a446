"""Lists: photos that are named one by one, by a list file or a column of URIs."""

from collections.abc import Iterable, Iterator
from functools import lru_cache

from pipeline.errors import StorageError
from pipeline.sources.members import parse_member_uri, resolve_relative, sanitize_path
from pipeline.storage import Entry, prefetch_map, read, stat

_STAT_THREADS = 32  # threads that ask storage about a photo each


def read_list(uri: str) -> Iterator[str]:
    """The names in a list file, one a line; lines that begin with # say nothing.

    Raises:
        StorageError: it cannot be read, or is not UTF-8.
    """
    data = read(uri)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise StorageError(f"{uri} is no list in UTF-8: see the byte {data[error.start]:#x} in line {line}") from error
    return (line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


def resolve_names(names: Iterable[str], container: str) -> Iterator[Entry]:
    """Entries of photos that are named, in the order of their keys, each once.

    Storage is asked about each of them, so that one that changes is seen as changed. Where it cannot tell, size, etag
    and mtime stay empty; reading the photo then says why.

    Args:
        names: URIs and paths.
        container: URI of the file that names them; paths are relative to its folder.

    Raises:
        StorageError: two of them would have one result.
    """
    uris: dict[str, str] = {}
    for uri in (resolve_relative(container, name) for name in names):
        other = uris.setdefault(_key_from_uri(uri), uri)
        if other != uri:
            raise StorageError(f"{container}: {name_clash_message(other, uri, _key_from_uri(uri))}")
    stat_container = lru_cache(maxsize=256)(stat)

    def entry(key: str) -> Entry:
        uri = uris[key]
        member = parse_member_uri(uri)
        try:
            found = stat(uri) if member is None else stat_container(member.container)
        except (FileNotFoundError, StorageError):
            return Entry(uri, key, 0, "", 0.0)
        return Entry(uri, key, found.size if member is None else member.size, found.etag, found.mtime)

    yield from (found for _, found in prefetch_map(entry, sorted(uris), _STAT_THREADS))


def name_clash_message(one: str, other: str, key: str) -> str:
    """What is said of two photos that cannot be."""
    return f"{one} and {other} would both have the result {key}: name only one of them"


def _key_from_uri(uri: str) -> str:
    return sanitize_path(uri.partition("://")[2] or uri)
