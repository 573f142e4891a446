"""Folders by their URIs: the names in one, whether it exists, and deleting it."""

from collections.abc import Iterator

from pipeline.storage.resolve import resolve_store
from pipeline.storage.retries import with_retries


def list_names(folder: str) -> set[str]:
    """Return the names of the objects and folders directly in a folder; none if it is missing."""
    return set(iter_names(folder))


def iter_names(folder: str) -> Iterator[str]:
    """Stream the names of `list_names`; millions of them need no more memory than one page of the store's answer."""
    store, path = with_retries(resolve_store)(folder)
    yield from store.list_names(path)


@with_retries
def exists(uri: str) -> bool:
    """Whether there is an object or a folder of that name; one request, however many objects lie beside it."""
    store, path = resolve_store(uri)
    return store.exists(path)


@with_retries
def sync_folder(folder: str) -> None:
    """Make durable what `write_unsynced` has written directly into a folder."""
    store, path = resolve_store(folder)
    store.sync_folder(path)


@with_retries
def delete_folder(folder: str) -> None:
    """Delete every object below a folder; a missing folder is no error."""
    store, path = resolve_store(folder)
    store.delete_folder(path)
