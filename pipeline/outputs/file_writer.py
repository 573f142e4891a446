"""The layout `files`: every result is a file of its own, in folders that mirror the input's."""

import os
from collections.abc import Sequence
from typing import Any

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio import DecodedImage
from pipeline.outputs.naming import CREDENTIALS_SUFFIX, original_key_for, output_key_for
from pipeline.sources import common_permissions
from pipeline.storage import (
    escape_hashes,
    file_uri,
    find_link_out,
    join_uri,
    parent_uri,
    sync_folder,
    write_unsynced,
)

_MAX_NAME_BYTES = 255  # of a file, on most file systems


class FileWriter:
    """Writes every result as soon as it is added, and syncs the folders of all of them at the end."""

    def __init__(self, folder: str) -> None:
        self._folder = file_uri(folder)
        self._written_folders: set[str] = set()

    def key_for(self, name: str, format_spec: str, photo: DecodedImage) -> str:
        """Return a name that no other input of the run gets."""
        return output_key_for(name, format_spec, photo)

    def key_for_original(self, name: str, format_spec: str, photo: DecodedImage) -> str:
        """Return a name that no other input of the run gets, whether results or originals are written for them."""
        return original_key_for(name, format_spec, photo)

    def add(self, row: dict[str, Any], key: str, data: bytes) -> None:
        """Write a file, which only those may read who may read the input.

        Raises:
            ImageError: its name is that of another input's content credentials, or leads out of the folder.
        """
        if key.lower().endswith(CREDENTIALS_SUFFIX):
            raise ImageError(
                ErrorCode.UNSAFE_NAME,
                f"its name ends with {CREDENTIALS_SUFFIX}, as the files do that keep content credentials: rename it",
            )
        row["output_uri"] = self._write(row, key, data)

    def add_credentials(self, row: dict[str, Any], key: str, data: bytes) -> str:
        """Write content credentials into a file beside the result, under its name and `CREDENTIALS_SUFFIX`."""
        name = key + CREDENTIALS_SUFFIX
        if len(os.fsencode(name.rpartition("/")[2])) > _MAX_NAME_BYTES:
            return f"not kept (the name of their file would have more than {_MAX_NAME_BYTES} bytes)"
        self._write(row, name, data)
        return name

    def _write(self, row: dict[str, Any], key: str, data: bytes) -> str:
        """Write a file with the permissions of the input; returns its URI."""
        uri = join_uri(self._folder, escape_hashes(key))
        if link := find_link_out(uri, self._folder):
            raise ImageError(
                ErrorCode.UNSAFE_NAME,
                f"its result would lie outside the output folder, as {link} is a symbolic link: remove the link, or "
                "name another output.uri",
            )
        write_unsynced(uri, data, common_permissions([row["input_uri"]]))
        self._written_folders.add(parent_uri(uri))
        return uri

    def close(self, rows: Sequence[dict[str, Any]]) -> None:
        """Sync the folders, so that no manifest names a file that a power failure undoes."""
        for folder in sorted(self._written_folders):
            sync_folder(folder)
