"""What every kind of store must do: the `ObjectStore` protocol and its contract."""

from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple, Protocol


class Entry(NamedTuple):
    """A stored object; a tuple, because a listing makes millions of them.

    Attributes:
        uri: URI of the object.
        key: its path below the folder that was listed.
        size: bytes.
        etag: the store's identifier of the content; empty if the store has none.
        mtime: time of the last change, seconds since 1970; 0 if unknown.
    """

    uri: str
    key: str
    size: int
    etag: str
    mtime: float


def ignore_special(path: str, is_link: bool) -> None:
    """Do nothing about what is neither file nor folder."""


def leave_out_nothing(path: str) -> bool:
    """Return False: every folder has to be listed."""
    return False


class ObjectStore(Protocol):
    """One kind of store. Paths are the store's own: `resolve_store` makes them from URIs, `to_uri` URIs from them.

    Each call is a single attempt, for the caller to retry. The two listings are streams, so they retry each of their
    requests themselves. Apart from the errors named below, calls raise OSError or whatever the libraries beneath raise,
    which `with_retries` knows how to read.

    Attributes:
        glob_marks: the characters that make a path a glob.
    """

    glob_marks: str

    def to_path(self, path: str) -> str:
        """Return the store's own form of a path that was cut out of a URI."""

    def to_uri(self, path: str) -> str:
        """Return the URI of a path, in characters that can be stored anywhere."""

    def read(self, path: str) -> bytes:
        """Return the bytes of one version of an object, even while it is being overwritten.

        Raises:
            FileNotFoundError: there is no such object.
        """

    def read_range(self, path: str, start: int, end: int) -> bytes:
        """Return the bytes from `start` up to `end` or the object's own end; none if `start` is beyond that.

        No more than these bytes are held, however large the object is, or claims to be.

        Raises:
            FileNotFoundError: there is no such object.
        """

    def open(self, path: str, read_ahead: int) -> BinaryIO:
        """Open an object as a seekable file that requests up to `read_ahead` bytes more than it is asked for.

        Raises:
            FileNotFoundError: there is no such object.
        """

    def write(self, path: str, data: bytes, permissions: int | None = None) -> None:
        """Create or overwrite an object atomically and durably: readers see all of the old one or all of the new one.

        Missing parent folders are created. A symbolic link of that name is replaced, not followed.

        Args:
            path: the object.
            data: its bytes.
            permissions: the most permission bits that a file gets, beside the right of its owner to read it; the
                process's umask takes away further ones. Stores without permission bits ignore it.
        """

    def write_unsynced(self, path: str, data: bytes, permissions: int | None = None) -> None:
        """Do what `write` does, except that a power failure may undo it until `sync_folder` has returned.

        The name then has its old content or none; it never has a part of the new content.
        """

    def sync_folder(self, folder: str) -> None:
        """Make the names in a folder durable; nothing to do where `write_unsynced` is `write`."""

    def create(self, path: str, data: bytes, permissions: int | None = None) -> None:
        """Write an object unless there is one of that name; atomic if `supports_conditional_create`.

        Its permissions are those of `write`.

        Raises:
            FileExistsError: there is one, perhaps from an earlier attempt at the same write.
        """

    def supports_conditional_create(self, folder: str) -> bool:
        """Whether the store itself lets only one of two concurrent creates in a folder succeed; probed once a process.

        Everywhere else `create` checks first and then writes.
        """

    def is_case_insensitive(self, folder: str) -> bool:
        """Whether `A.png` and `a.png` are one object in a folder; probed."""

    def delete(self, path: str) -> None:
        """Delete one object; a missing one is no error."""

    def delete_folder(self, path: str) -> None:
        """Delete every object below a folder; a missing folder is no error."""

    def stat(self, path: str) -> Entry:
        """Return the listing entry of one object; its key is its full path.

        Raises:
            FileNotFoundError: there is no such object; a folder is none.
        """

    def exists(self, path: str) -> bool:
        """Whether there is an object or a folder of that name, by one request however many objects lie beside it."""

    def get_permissions(self, path: str) -> int | None:
        """Return the permission bits of an object, up to 0o777; None if the store has none.

        Raises:
            FileNotFoundError: there is no such object.
        """

    def find_link_out(self, path: str, folder: str) -> str:
        """Return the symbolic link through which the way to an object leaves a folder that is above it; empty if none.

        Args:
            path: the object; it need not exist, and whether it is a link itself does not matter.
            folder: the folder; links above it do not matter.
        """

    def list_names(self, folder: str) -> Iterator[str]:
        """Stream the names of the objects and folders directly in a folder, in any order; none if it is missing."""

    def list_objects(
        self,
        root: str,
        prefix: str,
        accepts: Callable[[str], object],
        on_special: Callable[[str, bool], object] = ignore_special,
        leaves_out: Callable[[str], bool] = leave_out_nothing,
    ) -> Iterator[Entry]:
        """Stream the objects below a folder, folders excluded, their keys in the order of their code points.

        No more is held than one page of the store's answer, or one folder. Symbolic links are not followed.

        Args:
            root: folder that the keys are relative to.
            prefix: what every accepted path begins with, `root` and a slash at least; it may narrow the listing.
            accepts: whether an object of such a path is wanted; called before an `Entry` is made.
            on_special: called with the path of everything below that is neither file nor folder, and whether it is a
                symbolic link; object stores have no such things.
            leaves_out: whether a folder that this process may not list is left out; if not, the listing fails. Object
                stores, whose folders are parts of names, do not ask.

        Raises:
            FileNotFoundError: there is no such folder.
        """
