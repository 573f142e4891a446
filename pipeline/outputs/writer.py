"""What writes the results of a shard: the `Writer` protocol."""

from collections.abc import Sequence
from typing import Any, Protocol

from pipeline.imageio import DecodedImage


class Writer(Protocol):
    """Writes the results of one shard, or of a part of it."""

    def key_for(self, name: str, format_spec: str, photo: DecodedImage) -> str:
        """Return the name of a photo's result in this layout.

        Args:
            name: key of the input.
            format_spec: as for `imageio.encode`.
            photo: the input.
        """

    def key_for_original(self, name: str, format_spec: str, photo: DecodedImage) -> str:
        """Return the name of a result that has the bytes of its input, in that file's own format; as `key_for`."""

    def add(self, row: dict[str, Any], key: str, data: bytes) -> None:
        """Take one result; called by several threads.

        Args:
            row: manifest row of the photo, the same object that `close` gets.
            key: from `key_for`.
            data: the encoded result.

        Raises:
            ImageError: the layout cannot hold it.
            StorageError: it cannot be written.
        """

    def add_credentials(self, row: dict[str, Any], key: str, data: bytes) -> str:
        """Take the content credentials of an input, before `add` takes its result; called by several threads.

        Args:
            row: manifest row of the photo.
            key: from `key_for`.
            data: a C2PA manifest store.

        Returns:
            For the manifest: the name of the file that has them, or that and why they are not kept.

        Raises:
            ImageError: the name is not safe.
            StorageError: they cannot be written.
        """

    def close(self, rows: Sequence[dict[str, Any]]) -> None:
        """Write what has not been written yet, and set `output_uri` in the rows whose results were added.

        Raises:
            StorageError: it cannot be written.
        """
