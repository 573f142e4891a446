"""What the layouts have in common that write one file a shard."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

from pipeline.imageio import SAME_FORMAT, DecodedImage, add_format_extension
from pipeline.sources import common_permissions
from pipeline.storage import join_uri

_SHARD_FILE_NAME = re.compile(r"\d{5,}(?:-[0-9a-f]+)*\.(?:tar|parquet)")


class Result(NamedTuple):
    """A result that waits to be written.

    Attributes:
        row: manifest row of the photo.
        key: name of the result.
        data: the encoded result.
    """

    row: dict[str, Any]
    key: str
    data: bytes


class ShardFileWriter(ABC):
    """Holds the results of an attempt at a shard, or at a part of it, and writes them as one file of its own."""

    suffix = ""
    """The extension of the file, with its dot."""

    def __init__(self, folder: str, name: str) -> None:
        """Name the file after an attempt.

        Args:
            folder: where the file goes.
            name: name of the attempt, without the file's suffix; a file that an earlier attempt has written stays, as
                its driver may still commit it.
        """
        self._uri = join_uri(folder, name + self.suffix)
        self._results: dict[int, Result] = {}

    def key_for(self, name: str, format_spec: str, photo: DecodedImage) -> str:
        """Return the input's name with an extension of the result's format; the file makes equal names unique."""
        return add_format_extension(name, format_spec, photo)

    def key_for_original(self, name: str, format_spec: str, photo: DecodedImage) -> str:
        """Return the input's name with an extension of its own format."""
        return add_format_extension(name, SAME_FORMAT, photo)

    def add(self, row: dict[str, Any], key: str, data: bytes) -> None:
        """Hold a result until the file is written."""
        self._results[id(row)] = Result(row, key, data)

    def add_credentials(self, row: dict[str, Any], key: str, data: bytes) -> str:
        """Return that the layout has no place for them."""
        del row, key, data
        return f"not kept (a {self.suffix} file has no place for them)"

    def close(self, rows: Sequence[dict[str, Any]]) -> None:
        """Write the file, unless there are no results."""
        if results := [self._results[id(row)] for row in rows if id(row) in self._results]:
            self._write(self._uri, results)

    @abstractmethod
    def _write(self, uri: str, results: Sequence[Result]) -> None:
        """Write the file with `_permissions`, and set `output_uri` in the rows."""

    @staticmethod
    def _permissions(results: Sequence[Result]) -> int | None:
        """Return the permission bits that all inputs of the results have: whoever may read the file may read them."""
        return common_permissions(result.row["input_uri"] for result in results)


def is_shard_file_name(name: str) -> bool:
    """Whether a file of such a name may hold the results of a shard, of this or of an earlier version of deepot."""
    return _SHARD_FILE_NAME.fullmatch(name) is not None
