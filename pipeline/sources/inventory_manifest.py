"""The manifest of an S3 Inventory: which files list a bucket, and what their columns are."""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.errors import StorageError
from pipeline.storage import join_uri, parent_uri, read

_VERSION = "2016-11-30"
_FORMATS = ("CSV", "Parquet")
_MAX_MANIFEST_BYTES = 256 * 2**20
_NEW_INVENTORY = "name the manifest.json of a complete inventory"


@dataclass(frozen=True)
class InventoryFile:
    """One file of an inventory.

    Attributes:
        uri: where it is.
        size: bytes.
        md5: MD5 of its bytes, in hexadecimal digits.
    """

    uri: str
    size: int
    md5: str


@dataclass(frozen=True)
class InventoryManifest:
    """What a `manifest.json` of S3 Inventory states.

    Attributes:
        bucket: name of the bucket that is listed.
        created: when the inventory was begun, in ISO 8601.
        file_format: `CSV` or `Parquet`.
        columns: names of the columns in CSV files, as `normalize_column` returns them; empty for Parquet.
        files: the files.
    """

    bucket: str
    created: str
    file_format: str
    columns: tuple[str, ...]
    files: tuple[InventoryFile, ...]


def normalize_column(name: str) -> str:
    """Return the name of a column without what differs between CSV and Parquet.

    Example:
        >>> normalize_column("LastModifiedDate") == normalize_column("last_modified_date")
        True
    """
    return name.strip().replace("_", "").lower()


def read_inventory_manifest(uri: str) -> InventoryManifest:
    """Read a manifest; if a `manifest.checksum` lies beside it, that is verified.

    Raises:
        StorageError: it cannot be read, or is not the manifest of an inventory in CSV or Parquet.
    """
    try:
        data = read(uri, _MAX_MANIFEST_BYTES)
    except FileNotFoundError as error:
        raise StorageError(f"inventory {uri}: there is no such file; {_NEW_INVENTORY}") from error
    _check_md5(uri, data)
    try:
        return _parse(uri, json.loads(data))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StorageError(
            f"inventory {uri} is not the manifest of an S3 Inventory ({error!r}); {_NEW_INVENTORY}"
        ) from error


def _check_md5(uri: str, data: bytes) -> None:
    checksum_uri = join_uri(parent_uri(uri), "manifest.checksum")
    try:
        expected = read(checksum_uri, 2**10).decode(errors="replace").strip().lower()
    except FileNotFoundError:
        return
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if expected != found:
        raise StorageError(
            f"inventory {uri} has the MD5 {found}, but {checksum_uri} states {expected}; {_NEW_INVENTORY}"
        )


def _parse(uri: str, content: Any) -> InventoryManifest:  # noqa: ANN401 — JSON
    if content["version"] != _VERSION:
        raise StorageError(f"inventory {uri} has the version {content['version']!r}; deepot reads {_VERSION} only")
    if content["fileFormat"] not in _FORMATS:
        raise StorageError(
            f"inventory {uri} is in the format {content['fileFormat']}; deepot reads {' and '.join(_FORMATS)}: set the "
            "output format of the inventory configuration to Apache Parquet"
        )
    is_csv = content["fileFormat"] == "CSV"
    created = datetime.fromtimestamp(int(content["creationTimestamp"]) / 1000, UTC).isoformat(timespec="seconds")
    return InventoryManifest(
        bucket=str(content["sourceBucket"]),
        created=created,
        file_format=content["fileFormat"],
        columns=tuple(map(normalize_column, content["fileSchema"].split(","))) if is_csv else (),
        files=tuple(_parse_file(uri, each) for each in content["files"]),
    )


def _parse_file(uri: str, content: dict[str, Any]) -> InventoryFile:
    """Return a file of the manifest, below the folder of the inventory configuration wherever that was copied to."""
    folder = parent_uri(parent_uri(uri))  # destination/bucket/configuration/2024-01-01T01-00Z/manifest.json
    name = f"/{content['key']}".partition(f"/{folder.rpartition('/')[2]}/")[2]
    if not re.fullmatch(r"(?!.*\.\.)[^/].*", name):
        raise StorageError(
            f"inventory {uri} names the file {content['key']}, which is not below {folder}: keep the folders of the "
            "inventory as S3 has written them"
        )
    return InventoryFile(join_uri(folder, name), int(content["size"]), str(content["MD5checksum"]).lower())
