"""What the layouts have in common that write one file a shard."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

from pipeline.imageio import DecodedImage, add_format_extension
from pipeline.storage import delete, join_uri

_SHARD_FILE_NAME = re.compile(r"(\d{5,})(?:-[01]+)?\.(?:tar|parquet)")


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
    """Holds the results of a shard and writes them as one file, whose name a second attempt of the shard reuses."""

    suffix = ""
    """Of the file."""

    def __init__(self, folder: str, shard: int, split_path: str) -> None:
        """Name the file after a shard.

        Args:
            folder: where the file goes.
            shard: number of the shard.
            split_path: which half of which half of the shard this is, while it is bisected to find an image that
                crashes workers: a 0 or 1 for each halving; empty for all of the shard.
        """
        self._folder = folder
        halvings = range(1, len(split_path) + 1)
        self._file_names = [f"{shard:05d}", *(f"{shard:05d}-{split_path[:end]}" for end in halvings)]
        self._results: dict[int, Result] = {}

    def key_for(self, name: str, format_spec: str, photo: DecodedImage) -> str:
        """Return the input's name with an extension of the result's format; the file makes equal names unique."""
        return add_format_extension(name, format_spec, photo)

    def add(self, row: dict[str, Any], key: str, data: bytes) -> None:
        """Hold a result until the file is written."""
        self._results[id(row)] = Result(row, key, data)

    def close(self, rows: Sequence[dict[str, Any]]) -> None:
        """Write the file, and delete those of the parts that this one was split from: their worker died."""
        results = [self._results[id(row)] for row in rows if id(row) in self._results]
        *ancestors, uri = (join_uri(self._folder, name + self.suffix) for name in self._file_names)
        for ancestor in ancestors:
            delete(ancestor)
        if results:
            self._write(uri, results)

    @abstractmethod
    def _write(self, uri: str, results: Sequence[Result]) -> None:
        """Write the file, and set `output_uri` in the rows."""


def parse_shard_number(name: str) -> int | None:
    """Return the number of the shard whose results a file of such a name holds; None if no shard's file has it."""
    match = _SHARD_FILE_NAME.fullmatch(name)
    return int(match[1]) if match else None
