"""The objects of a folder, a glob or a file, streamed in the order of their keys."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

from pipeline.errors import AccessDeniedError, StorageError
from pipeline.storage.glob_patterns import compile_glob
from pipeline.storage.objects import stat
from pipeline.storage.resolve import resolve_store
from pipeline.storage.retries import with_retries
from pipeline.storage.store import Entry, ignore_special

ListStore: TypeAlias = Callable[[str, str, Callable[[str], object]], Iterator[Entry]]
"""Lists objects in the place of a store: by its root, its prefix, and which paths are accepted."""


def _hide_nothing(path: str, key: str, pattern: str) -> bool:
    return False


def list_objects(
    uri: str,
    accepts: Callable[[str], bool],
    on_special: Callable[[str, bool], object] = ignore_special,
    hides: Callable[[str, str, str], bool] = _hide_nothing,
    streams: int = 1,
    list_store: ListStore | None = None,
) -> Iterator[Entry]:
    """Stream the objects below a folder whose name is accepted, the files that match a glob, or one file.

    No more is held than a page of the store's answer or one folder, with several streams some pages for each, so that a
    collection of any size can be listed.
    Keys come in ascending order of their code points, each once.

    Args:
        uri: a folder, a glob or a file.
        accepts: whether an object of such a path is wanted; asked for folders only.
        on_special: called with the path of everything in the folder, or matching the glob, that is neither file nor
            folder, and whether it is a symbolic link.
        hides: whether an object that is in the folder, or matches the glob, is left out. Called with its path, its key,
            and what of the glob keys are matched with, which is empty for a folder. Called with a folder too if storage
            refuses to list it: a hidden one is left out, and for any other the listing fails.
        streams: the most requests at a time on S3; other stores list by one request after the other.
        list_store: called instead of the store's own `list_objects`, with its first three arguments.

    Raises:
        FileNotFoundError: no such folder, bucket or file.
        StorageError: it cannot be listed, or the store does not list in order.
    """
    store, path = with_retries(resolve_store)(uri)
    matches: Callable[[str], bool]
    if any(mark in path for mark in store.glob_marks):
        prefix = path[: min(path.find(mark) for mark in store.glob_marks + "[" if mark in path)]
        pattern = path if "?" in store.glob_marks else path.replace("?", "[?]")
        root, matches = prefix.rpartition("/")[0], compile_glob(pattern)
        pattern = path.removeprefix(root).lstrip("/")
        on_special = _only_matching(matches, on_special)
    elif file := _stat_file(uri):
        yield file._replace(key=file.key.rpartition("/")[2])
        return
    else:
        root, matches, pattern = path.rstrip("/"), accepts, ""
        prefix = root + "/"

    def is_hidden(path: str) -> bool:
        return hides(path, path.removeprefix(root).strip("/"), pattern)

    def selects(path: str) -> bool:
        if pattern:  # nothing else is known to the listing, nor counted
            return matches(path) and not is_hidden(path)
        return not is_hidden(path) and matches(path)

    previous_key = ""
    if list_store is None:
        listed = store.list_objects(root, prefix, selects, on_special, is_hidden, streams)
    else:
        listed = list_store(root, prefix, selects)
    for entry in listed:
        if entry.key <= previous_key:
            raise StorageError(
                f"{uri}: the store lists '{entry.key}' after '{previous_key}', which is not the order of their names; "
                "name the photos in a .txt list instead"
            )
        previous_key = entry.key
        yield entry


def _only_matching(
    matches: Callable[[str], object], on_special: Callable[[str, bool], object]
) -> Callable[[str, bool], object]:
    """Return `on_special` for the paths that match."""
    return lambda path, is_link: matches(path) and on_special(path, is_link)


def iter_files(
    folder: str, streams: int = 1, on_special: Callable[[str, bool], object] = ignore_special
) -> Iterator[Entry]:
    """Stream every object below a folder, in the order of their keys; none if the folder is missing.

    Args:
        folder: the folder; no character of its name is the mark of a glob.
        streams: as for `list_objects`.
        on_special: as for `list_objects`.

    Raises:
        StorageError: it cannot be listed.
    """
    store, path = with_retries(resolve_store)(folder)
    root = path.rstrip("/")
    try:
        yield from store.list_objects(root, root + "/", lambda _: True, on_special, streams=streams)
    except FileNotFoundError:
        return


def _stat_file(uri: str) -> Entry | None:
    """Return the file that a URI names; None if it names a folder, as it does with a slash at its end.

    S3 may have both of one name.
    """
    if uri.endswith("/"):
        return None
    try:
        return stat(uri)
    except (FileNotFoundError, AccessDeniedError):  # with the right to list one may still not ask for single names
        return None
