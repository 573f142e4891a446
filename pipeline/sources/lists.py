"""Lists: photos that are named one by one, by a list file or a column of URIs."""

from collections.abc import Iterable, Iterator
from functools import lru_cache

from pipeline.ahead import read_ahead
from pipeline.errors import StorageError
from pipeline.listing import described
from pipeline.sources.members import clean, member_of
from pipeline.storage import Entry, absolute

_ASKING = 32  # threads that ask storage about a photo each


def lines(text: str) -> Iterator[str]:
    """The names in a list file, one a line; lines that begin with # say nothing."""
    return (line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


def named(names: Iterable[str], folder: str) -> Iterator[Entry]:
    """Entries of photos that are named, in the order of their keys, each once.

    Storage is asked about each of them, so that one that changes is seen as changed. Where it cannot tell, size, etag
    and mtime stay empty; reading the photo then says why.

    Args:
        names: URIs and paths.
        folder: that paths are relative to.
    """
    uris = {_key(uri): uri for uri in (_uri(name, folder) for name in names)}
    container = lru_cache(maxsize=256)(described)

    def entry(key: str) -> Entry:
        uri = uris[key]
        member = member_of(uri)
        try:
            found = described(uri) if member is None else container(member.container)
        except (FileNotFoundError, StorageError):
            return Entry(uri, key, 0, "", 0.0)
        return Entry(uri, key, found.size if member is None else member.size, found.etag, found.mtime)

    yield from (found for _, found in read_ahead(entry, sorted(uris), _ASKING))


def _uri(name: str, folder: str) -> str:
    return absolute(name if "://" in name or name.startswith("/") else f"{folder}/{name}")


def _key(uri: str) -> str:
    return clean(uri.partition("://")[2] or uri)
