r"""Members: photos inside other files, the URIs that name them, and how they are read.

    shard.tar#4096+18230/0001.jpg      18,230 bytes from byte 4096 of the tar on
    box.zip#10+512/scan.png            the member whose header is at byte 10 and that takes 512 bytes there
    part.parquet#image/3/17            column image, row group 3, row 17 of it

So a member is read by one request for its bytes, without a look into the container's directory.
"""

import re
import sys
import threading
from functools import lru_cache
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import ContainerError
from pipeline.sources.zip_member import MAX_OVERHEAD_BYTES, extract_member
from pipeline.storage import absolute_uri, join_uri, open_ranged, read, read_range

_ROW_GROUP_LOCKS = tuple(threading.Lock() for _ in range(8))
_MEMBER = re.compile(r"(?P<container>.+?\.(?P<kind>tar|zip|parquet))#(?P<place>.+)", re.IGNORECASE | re.DOTALL)


class ArchiveMember(NamedTuple):
    """A photo inside another file.

    Attributes:
        container: URI of the file.
        kind: `tar`, `zip` or `parquet`.
        location: where in it.
    """

    container: str
    kind: str
    location: str

    @property
    def name(self) -> str:
        """Its name there; empty in a Parquet file."""
        return "" if self.kind == "parquet" else self.location.partition("/")[2]

    @property
    def size(self) -> int:
        """Bytes that it takes in a tar or ZIP file; 0 in a Parquet file, where that is not said."""
        digits = self.location.partition("/")[0].partition("+")[2]
        return int(digits) if digits.isdecimal() else 0


def is_container(uri: str) -> bool:
    """Whether a URI names a file that photos are inside of, and none of them."""
    return uri.lower().endswith((".tar", ".zip", ".parquet")) and parse_member_uri(uri) is None


def parse_member_uri(uri: str) -> ArchiveMember | None:
    """What a URI names inside another file; None if it names a file."""
    match = _MEMBER.fullmatch(uri)
    return ArchiveMember(match["container"], match["kind"].lower(), match["place"]) if match else None


def webdataset_key(name: str) -> str:
    """A WebDatasetWriter key: the name up to the first dot behind the last slash."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(".")[0]


def webdataset_sample(uri: str) -> tuple[str, str] | None:
    """The tar that a URI names a member of, and the key of its sample; None where it has none."""
    member = parse_member_uri(uri)
    if member is None or member.kind != "tar" or not sanitize_path(webdataset_key(member.name)):
        return None
    return member.container, webdataset_key(member.name)


def make_member_uri(container: str, start: int, size: int, name: str) -> str:
    """The URI of a member of a tar or ZIP file."""
    return f"{container}#{start}+{size}/{name}"


def read_photo(uri: str, max_inflated_bytes: int = sys.maxsize) -> bytes:
    """The bytes of a photo, wherever it lives.

    Args:
        uri: of a file, or of a member of one.
        max_inflated_bytes: bytes that are inflated of a ZIP member.

    Raises:
        ImageError: it is a ZIP member that has more of them, is damaged, or is packed in a way that is not read.
        FileNotFoundError: there is none.
        StorageError: it cannot be read; a ContainerError where its container is read and holds no such photo.
    """
    member = parse_member_uri(uri)
    if member is None:
        return read(uri)
    try:
        if member.kind == "parquet":
            column, group, row = member.location.rsplit("/", 2)
            return _read_cell(member.container, column, int(group), int(row))
        start, size = map(int, member.location.partition("/")[0].split("+"))
    except (ValueError, TypeError, LookupError, pa.ArrowException) as error:
        raise ContainerError(f"{uri} does not name a photo inside of {member.container}: {error}") from error
    if member.kind == "tar":
        return read_range(member.container, start, start + size)
    return extract_member(
        read_range(member.container, start, start + size + MAX_OVERHEAD_BYTES), size, max_inflated_bytes
    )


def _read_cell(container: str, column: str, group: int, row: int) -> bytes:
    with _ROW_GROUP_LOCKS[
        hash((container, group)) % len(_ROW_GROUP_LOCKS)
    ]:  # one thread reads it, and the others find it there
        cells = _read_row_group(container, column, group)
    value = cells[row].as_py()
    if isinstance(value, dict):
        value = value["bytes"] if value.get("bytes") is not None else value.get("path")
    if isinstance(value, str):
        return read(resolve_relative(container, value))
    if value is None:
        raise FileNotFoundError(f"{container}#{column}/{group}/{row}")
    return bytes(value)


def resolve_relative(container: str, name: str) -> str:
    """The URI that a list or column means: paths are relative to the folder of the file that names them."""
    return absolute_uri(name if "://" in name or name.startswith("/") else join_uri(container.rpartition("/")[0], name))


@lru_cache(maxsize=2)
def _read_row_group(container: str, column: str, group: int) -> Any:  # noqa: ANN401 — pyarrow has no types
    with open_ranged(container) as file, pq.ParquetFile(file) as parquet:
        return parquet.read_row_group(group, columns=[column]).column(column)


def sanitize_path(name: str) -> str:
    """A name from inside a file or list as a relative path that leads nowhere else."""
    return "/".join(part for part in re.split(r"[/\\]", name) if part not in ("", ".", ".."))
