"""Storing selected photos: in tar shards as WebDataset reads them, or as files of a folder with a table beside them."""

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.outputs import TarWriter
from pipeline.sources import common_permissions
from pipeline.storage import join_uri, sha256_hex, write, write_file

METADATA_NAME = "metadata.parquet"
"""The table of packed photos, by the name that Hugging Face's `imagefolder` looks for."""
_MAX_SHARD_PHOTOS, _MAX_SHARD_BYTES = 1000, 256 * 2**20


@dataclass(frozen=True)
class PackedFile:
    """A file that was written.

    Attributes:
        name: in the folder.
        size: bytes.
        sha256: of its content.
    """

    name: str
    size: int
    sha256: str


class PhotoPacker(ABC):
    """Stores photos in a folder, under numbers, as names of a run may clash or be no names of files elsewhere.

    Attributes:
        files: those that were written, but for photos in files of their own.
        suffixes: those of the photos.
    """

    def __init__(self, folder: str) -> None:
        self.files: list[PackedFile] = []
        self.suffixes: set[str] = set()
        self.photos = 0
        self._folder = folder

    def add(self, row: dict[str, Any], suffix: str, photo: bytes, uri: str) -> dict[str, Any]:
        """Add a photo from a URI; returns where it is, as columns of its row."""
        place = self._store(f"{self.photos:09d}", suffix, photo, row, uri)
        self.photos += 1
        self.suffixes.add(suffix)
        return place

    @abstractmethod
    def _store(self, key: str, suffix: str, photo: bytes, row: dict[str, Any], uri: str) -> dict[str, Any]:
        """Store a photo; returns where it is."""

    @abstractmethod
    def close(self) -> None:
        """Write what is left."""


class TarPacker(PhotoPacker):
    """Stores photos in tar shards 000000.tar, 000001.tar, …, each followed by its row as JSON."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._tar, self._uris = TarWriter(), list[str]()

    def _store(self, key: str, suffix: str, photo: bytes, row: dict[str, Any], uri: str) -> dict[str, Any]:
        place = {"file_name": f"{key}{suffix}", "tar": self._name}
        self._uris.append(uri)
        self._tar.add(key + suffix, photo)
        self._tar.add(f"{key}.json", json.dumps(row).encode())
        if len(self._uris) >= _MAX_SHARD_PHOTOS or self._tar.size >= _MAX_SHARD_BYTES:
            self._write()
        return place

    def close(self) -> None:
        """Write the last shard."""
        if self._uris:
            self._write()

    @property
    def _name(self) -> str:
        return f"{len(self.files):06d}.tar"

    def _write(self) -> None:
        """Write a tar file, which only those may read who may read all of its photos."""
        data = self._tar.close()
        write(join_uri(self._folder, self._name), data, common_permissions(self._uris))
        self.files.append(PackedFile(self._name, len(data), sha256_hex(data)))
        self._tar, self._uris = TarWriter(), []


class FolderPacker(PhotoPacker):
    """Stores photos as files `photos/000000000.jpg`, …, as Hugging Face's `imagefolder` reads them."""

    def _store(self, key: str, suffix: str, photo: bytes, row: dict[str, Any], uri: str) -> dict[str, Any]:
        name = f"photos/{key}{suffix}"
        write(join_uri(self._folder, name), photo, common_permissions([uri]))
        return {"file_name": name}

    def close(self) -> None:
        """Do nothing, as every photo is written already."""


class MetadataWriter:
    """Writes the rows of packed photos as `metadata.parquet`, through a temporary file on this machine.

    `file_name` is where a photo is in the folder; its name in the run is in the column `source_name`.
    """

    def __init__(self, schema: pa.Schema, batch_rows: int = 10_000) -> None:
        names = [("source_name" if field.name == "file_name" else field.name, field.type) for field in schema]
        self.schema = pa.schema([("file_name", pa.string()), ("tar", pa.string()), *names])
        self._batch_rows, self._rows = batch_rows, list[dict[str, Any]]()
        self._file = TemporaryFile()  # noqa: SIM115 — see __exit__
        self._writer = pq.ParquetWriter(self._file, self.schema)

    def __enter__(self) -> "MetadataWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._writer.close()
        self._file.close()

    def add(self, row: dict[str, Any], place: dict[str, Any]) -> None:
        """Add the row of a photo, and where it is."""
        self._rows.append(row | {"source_name": row["file_name"]} | place)
        if len(self._rows) >= self._batch_rows:
            self._flush()

    def write(self, folder: str) -> PackedFile:
        """Write the table into a folder."""
        self._flush()
        self._writer.close()
        write_file(join_uri(folder, METADATA_NAME), self._file)
        self._file.seek(0)
        sha256 = hashlib.file_digest(self._file, "sha256").hexdigest()
        return PackedFile(METADATA_NAME, self._file.tell(), sha256)

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self.schema))
        self._rows = []
