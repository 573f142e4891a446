"""The objects of a folder, a glob or a file, streamed in the order of their keys."""

from collections.abc import Callable, Iterator

from pipeline.errors import StorageError
from pipeline.storage.glob_patterns import compile_glob
from pipeline.storage.objects import stat
from pipeline.storage.resolve import resolve_store
from pipeline.storage.retries import with_retries
from pipeline.storage.store import Entry


def list_objects(uri: str, accepts: Callable[[str], bool]) -> Iterator[Entry]:
    """Stream the objects below a folder whose name is accepted, the files that match a glob, or one file.

    No more is held than a page of the store's answer or one folder, so that a collection of any size can be listed.
    Keys come in ascending order of their code points, each once.

    Args:
        uri: a folder, a glob or a file.
        accepts: whether an object of such a path is wanted; asked for folders only.

    Raises:
        FileNotFoundError: no such folder, bucket or file.
        StorageError: it cannot be listed, or the store does not list in order.
    """
    store, path = with_retries(resolve_store)(uri)
    matches: Callable[[str], object]
    if "*" in path or "?" in path:
        prefix = path[: min(path.find(mark) for mark in "*?[" if mark in path)]
        root, matches = prefix.rpartition("/")[0], compile_glob(path)
    elif file := _stat_file(uri):
        yield file._replace(key=file.key.rpartition("/")[2])
        return
    else:
        root, matches = path.rstrip("/"), accepts
        prefix = root + "/"
    previous_key = ""
    for entry in store.list_objects(root, prefix, matches):
        if entry.key <= previous_key:
            raise StorageError(
                f"{uri}: the store lists '{entry.key}' after '{previous_key}', which is not the order of their names; "
                "name the photos in a .txt list instead"
            )
        previous_key = entry.key
        yield entry


def iter_files(folder: str) -> Iterator[Entry]:
    """Stream every object below a folder, in the order of their keys; none if the folder is missing.

    Raises:
        StorageError: it cannot be listed.
    """
    store, path = with_retries(resolve_store)(folder)
    root = path.rstrip("/")
    try:
        yield from store.list_objects(root, root + "/", lambda _: True)
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
    except FileNotFoundError:
        return None
    except StorageError as error:  # with the right to list a bucket one may still not ask for single names
        if isinstance(error.__cause__, PermissionError):
            return None
        raise
