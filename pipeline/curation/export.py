"""Export: chosen photos as a list, as a Parquet file, or as tar shards that WebDataset reads."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import ConfigError, ImageError, RunError, StorageError
from pipeline.imageio.file_suffix import suffix_of
from pipeline.outputs.tar_writer import TarWriter
from pipeline.progress import Progress
from pipeline.sources.members import read_photo
from pipeline.storage.folders import names
from pipeline.storage.objects import absolute, join, put, sha256
from pipeline.storage.prefetch import read_ahead

SIDES = ("output", "source")
_READERS, _SHARD_PHOTOS, _SHARD_BYTES = 16, 1000, 256 * 2**20


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        uri: where.
        photos: how many.
        left_out: photos that are not in it, and why.
    """

    uri: str
    photos: int
    left_out: tuple[tuple[str, str], ...] = ()


def export(rows: pa.Table, to: str, side: str, progress: Progress) -> Exported:
    """Write chosen rows of a manifest as what the name says: `….txt`, `….parquet`, or a folder of tar shards, `…/`.

    Args:
        rows: of `pipeline.runs.manifest.SCHEMA`.
        to: where.
        side: whose photos a list and tar shards hold: `output` or `source`.
        progress: told of photos that are packed.

    Raises:
        ConfigError: a name that says none of the three.
        RunError: the folder holds tar shards already.
    """
    uri = absolute(to).rstrip("/") + ("/" if to.endswith("/") else "")
    if to.endswith(".parquet"):
        write_parquet(rows, to)
        return Exported(uri, len(rows))
    if to.endswith(".txt"):
        there = rows[f"{side}_uri"].drop_null().to_pylist()
        put(uri, "".join(f"{photo}\n" for photo in there).encode())
        return Exported(uri, len(there), _without_photo(rows, side))
    if to.endswith("/"):
        return _tars(rows, uri, side, progress)
    raise ConfigError(f"'{to}': name a list (….txt), a Parquet file (….parquet) or a folder for tar shards (…/)")


def write_parquet(rows: pa.Table, to: str) -> None:
    """Write a table as one Parquet file."""
    sink = io.BytesIO()
    pq.write_table(rows, sink)
    put(absolute(to), sink.getvalue())


def _without_photo(rows: pa.Table, side: str) -> tuple[tuple[str, str], ...]:
    without = rows.filter(pc.is_null(rows[f"{side}_uri"])).select(["file_name", "status"]).to_pylist()
    return tuple((row["file_name"], f"it has no {side}: {row['status']}") for row in without)


def _tars(rows: pa.Table, folder: str, side: str, progress: Progress) -> Exported:
    """Tar shards 000000.tar, … of photos, each with its row as JSON beside it."""
    if any(name.endswith(".tar") for name in names(folder)):
        raise RunError(f"{folder} holds tar shards already, and two selections must not mix: name another folder")
    left_out = [*_without_photo(rows, side)]
    chosen = rows.filter(pc.is_valid(rows[f"{side}_uri"]))
    progress.begin("pack", len(chosen))
    shard, photos = _Shard(), 0
    number = 0
    for row, found in _photos(chosen, side):
        if isinstance(found, str):
            left_out.append((row["file_name"], found))
        else:
            shard.add(f"{photos:09d}", *found, row)
            photos += 1
        if shard.full:
            put(join(folder, f"{number:06d}.tar"), shard.close())
            shard, number = _Shard(), number + 1
        progress.advance(1, int(isinstance(found, str)))
    if shard.photos:
        put(join(folder, f"{number:06d}.tar"), shard.close())
    progress.end()
    return Exported(folder, photos, tuple(left_out))


def _photos(rows: pa.Table, side: str) -> Iterator[tuple[dict[str, Any], tuple[str, bytes] | str]]:
    """Rows with the suffix and bytes of their photos, or with the reason why there are none."""

    def fetch(row: dict[str, Any]) -> tuple[str, bytes] | str:
        try:
            data = read_photo(row[f"{side}_uri"])
        except FileNotFoundError:
            return "it is no longer there"
        except (StorageError, ImageError) as error:
            return str(error)
        if sha256(data) != row[f"{side}_sha256"]:
            return "it is not the photo of its row: the sha256 differs"
        suffix = suffix_of(row[f"{side}_uri"], data)
        return (suffix, data) if suffix else "neither its name nor its bytes say what format it is of"

    some_at_a_time = (batch.to_pylist() for batch in rows.to_batches(_SHARD_PHOTOS))
    return read_ahead(fetch, chain.from_iterable(some_at_a_time), _READERS)


class _Shard:
    """A tar file of photos, each with its row beside it."""

    def __init__(self) -> None:
        self.photos = 0
        self._tar = TarWriter()

    @property
    def full(self) -> bool:
        """Whether it should be written."""
        return self.photos >= _SHARD_PHOTOS or self._tar.size >= _SHARD_BYTES

    def add(self, key: str, suffix: str, photo: bytes, row: dict[str, Any]) -> None:
        """A photo and its row."""
        self.photos += 1
        self._tar.add(key + suffix, photo)
        self._tar.add(f"{key}.json", json.dumps(row).encode())

    def close(self) -> bytes:
        """All of its bytes."""
        return self._tar.close()
