"""What every kind of container must do: the `Container` protocol, and opening one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, Protocol

from pipeline.errors import ContainerError
from pipeline.sources.member_uri import ArchiveMember
from pipeline.storage import Entry, open_ranged


class Container(Protocol):
    """A kind of file that holds photos, or names them.

    Attributes:
        has_columns: whether `#column` after its name selects a column.
    """

    has_columns: bool

    def entries(self, file: Entry, column: str, allow: Sequence[str] = ()) -> Iterator[Entry]:
        """Stream the photos of one file in the order of their keys.

        Args:
            file: the file.
            column: its column, if it has columns.
            allow: prefixes of URIs that it may name, besides what lies below its own folder.

        Raises:
            ContainerError: the file is corrupt, or two of its photos have one name.
            StorageError: it cannot be read, or has no such column.
        """

    def other_names(self, file: Entry) -> Iterator[str]:
        """Yield the names of what a file holds besides photos.

        Raises:
            ContainerError: the file is corrupt.
            StorageError: it cannot be read.
        """

    def names_photos(self, files: Sequence[Entry], column: str) -> bool:
        """Whether the files name photos that lie elsewhere, so that several may name one, and in any order."""

    def read_member(self, member: ArchiveMember, max_bytes: int | None, allow: Sequence[str] = ()) -> bytes:
        """Return the bytes of a photo.

        Args:
            member: the photo.
            max_bytes: the most bytes that it may have, stored and inflated; None for any number.
            allow: as for `entries`.

        Raises:
            ValueError, TypeError, LookupError: the location does not name a photo.
            ImageError: there is none; or it is corrupt, has more bytes than allowed, or is packed in a way that is not
                read.
            TooLargeError: it has more bytes than allowed.
            NotAllowedError: the container may not name it.
            FileNotFoundError: there is no such container.
            StorageError: the container cannot be read.
        """


@contextmanager
def open_container(uri: str) -> Iterator[BinaryIO]:
    """Open a container for a reader that raises OSError over corrupt bytes.

    Raises:
        ContainerError: the reader raised OSError.
        FileNotFoundError: there is no such file.
        StorageError: storage cannot be read, after retries.
    """
    with open_ranged(uri) as file:
        try:
            yield file
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ContainerError(f"{uri}: {error}") from error
