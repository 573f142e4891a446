"""Check before any work that a worker sees the folders and files that the driver sees, as on a shared disk."""

import socket
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar

from pipeline.errors import StorageError
from pipeline.storage import delete, iter_names, parent_uri, read, stat, temporary_path, write

T = TypeVar("T")
R = TypeVar("R")
Executor = Callable[[Callable[[T], R], Sequence[T]], Iterable[R]]

_REFRESH_S = 600.0  # how often marks are written again, so that they are never as old as what `gc` removes
_ADVICE = (
    "every node needs the same files under the same path or URI: use storage that all of them reach, such as s3://…, "
    "or mount one share at the same path on all of them, and give the workers the right to read and write it"
)


@dataclass(frozen=True)
class StorageMark:
    """A file that the driver has written into a folder for its workers to read.

    Attributes:
        folder: URI of the folder.
        uri: URI of the file.
        content: what it holds; random.
    """

    folder: str
    uri: str
    content: str


@dataclass(frozen=True)
class SharedStorage:
    """What a worker must see before it works, because the driver sees it.

    Attributes:
        driver: name of the driver's machine.
        marks: files that it must read.
        samples: collections of existing files; it must see one file of each, or at least the folder of one with
            something in it, as files may be moved away during a run.
    """

    driver: str = ""
    marks: tuple[StorageMark, ...] = ()
    samples: tuple[tuple[str, ...], ...] = ()

    def require_visible(self) -> None:
        """Read the marks and look for the samples.

        Raises:
            StorageError: one of them cannot be seen here; the message names this machine and the folder.
        """
        for mark in self.marks:
            try:
                found = read(mark.uri).decode(errors="replace")
            except FileNotFoundError:
                self._refuse(mark.folder, "the file that the driver has just written there is missing")
            except StorageError as error:
                self._refuse(mark.folder, str(error))
            if found != mark.content:
                self._refuse(mark.folder, "a file there holds something else than the driver has written")
        for uris in filter(None, self.samples):
            if not any(map(can_stat, uris)) and not any(map(_has_folder, uris)):
                self._refuse(parent_uri(uris[0]), f"files such as {uris[0]} are missing")

    def check_first(self, execute: Executor[T, R]) -> Executor[T, R]:
        """Return an executor whose workers call `require_visible` before each task."""
        return lambda function, items: execute(_CheckedFunction(self, function), items)

    def _refuse(self, folder: str, reason: str) -> NoReturn:
        raise StorageError(
            f"the worker on node {socket.gethostname()} does not see {folder} as the driver on {self.driver} does "
            f"({reason}): {_ADVICE}"
        )


@dataclass(frozen=True)
class _CheckedFunction(Generic[T, R]):
    """A function of a stage that is only run where the storage is visible."""

    storage: SharedStorage
    function: Callable[[T], R]

    @property
    def __name__(self) -> str:
        return self.function.__name__

    def __call__(self, item: T) -> R:
        self.storage.require_visible()
        return self.function(item)


@contextmanager
def mark_storage(folders: Iterable[str], samples: Iterable[Sequence[str]] = ()) -> Iterator[SharedStorage]:
    """Write a mark into each folder, for as long as the context is open.

    Args:
        folders: URIs of folders that workers write to.
        samples: URIs of files that workers read, some of each collection.

    Raises:
        StorageError: a mark cannot be written.
    """
    marks: list[StorageMark] = []
    stopped = threading.Event()
    refreshing = threading.Thread(target=_refresh_periodically, args=(marks, stopped), name="marks", daemon=True)
    try:
        for folder in dict.fromkeys(folders):
            mark = StorageMark(folder, temporary_path(folder.rstrip("/")), uuid.uuid4().hex)
            write(mark.uri, mark.content.encode())
            marks.append(mark)
        refreshing.start()
        yield SharedStorage(socket.gethostname(), tuple(marks), tuple(map(tuple, samples)))
    finally:
        stopped.set()
        if refreshing.ident is not None:
            refreshing.join()
        for mark in marks:
            with suppress(StorageError):  # `deepot gc` removes it
                delete(mark.uri)


def _refresh_periodically(marks: Sequence[StorageMark], stopped: threading.Event) -> None:
    while not stopped.wait(_REFRESH_S):
        for mark in marks:
            with suppress(StorageError):  # the next time may succeed; the work itself reports what is wrong
                write(mark.uri, mark.content.encode())


def can_stat(uri: str) -> bool:
    """Whether a file is there and storage answers for it."""
    try:
        stat(uri)
    except (FileNotFoundError, StorageError):
        return False
    return True


def _has_folder(uri: str) -> bool:
    try:
        return any(True for _ in iter_names(parent_uri(uri)))
    except (OSError, StorageError):
        return False
