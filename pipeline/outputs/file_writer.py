"""The layout `files`: every result is a file of its own, in folders that mirror the input's."""

from collections.abc import Sequence
from typing import Any

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio import DecodedImage
from pipeline.outputs.naming import original_key_for, output_key_for
from pipeline.sources import common_permissions
from pipeline.storage import escape_hashes, file_uri, find_link_out, join_uri, write


class FileWriter:
    """Writes every result as soon as it is added."""

    def __init__(self, folder: str) -> None:
        self._folder = file_uri(folder)

    def key_for(self, name: str, format_spec: str, photo: DecodedImage) -> str:
        """Return a name that no other input of the run gets."""
        return output_key_for(name, format_spec, photo)

    def key_for_original(self, name: str, format_spec: str, photo: DecodedImage) -> str:
        """Return a name that no other input of the run gets, whether results or originals are written for them."""
        return original_key_for(name, format_spec, photo)

    def add(self, row: dict[str, Any], key: str, data: bytes) -> None:
        """Write a file, which only those may read who may read the input."""
        uri = join_uri(self._folder, escape_hashes(key))
        if link := find_link_out(uri, self._folder):
            raise ImageError(
                ErrorCode.UNSAFE_NAME,
                f"its result would lie outside the output folder, as {link} is a symbolic link: remove the link, or "
                "name another output.uri",
            )
        write(uri, data, common_permissions([row["input_uri"]]))
        row["output_uri"] = uri

    def close(self, rows: Sequence[dict[str, Any]]) -> None:
        """Do nothing: all files are written."""
