"""The layout `files`: every result is a file of its own, in folders that mirror the input's."""

from collections.abc import Sequence
from typing import Any

from pipeline.imageio import DecodedImage
from pipeline.outputs.naming import output_key_for
from pipeline.storage import escape_hashes, file_uri, join_uri, write


class FileWriter:
    """Writes every result as soon as it is added."""

    def __init__(self, folder: str) -> None:
        self._folder = file_uri(folder)

    def key_for(self, name: str, format_spec: str, photo: DecodedImage) -> str:
        """Return a name that no other input of the run gets."""
        return output_key_for(name, format_spec, photo)

    def add(self, row: dict[str, Any], key: str, data: bytes) -> None:
        """Write a file."""
        uri = join_uri(self._folder, escape_hashes(key))
        write(uri, data)
        row["output_uri"] = uri

    def close(self, rows: Sequence[dict[str, Any]]) -> None:
        """Do nothing: all files are written."""
