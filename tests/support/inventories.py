"""S3 Inventories as S3 writes them: a manifest with its checksum, and data files in CSV or Parquet."""

import csv
import gzip
import hashlib
import io
import json
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote_plus

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage import join_uri, write

CONFIGURATION = "destination/photos/every-day"
COLUMNS = (
    "Bucket",
    "Key",
    "VersionId",
    "IsLatest",
    "IsDeleteMarker",
    "Size",
    "LastModifiedDate",
    "ETag",
    "StorageClass",
)
_PARQUET_NAMES = {"LastModifiedDate": "last_modified_date", "ETag": "e_tag", "VersionId": "version_id"} | {
    name: name.lower() for name in ("Bucket", "Key", "Size")
}
_PARQUET_NAMES |= {"IsLatest": "is_latest", "IsDeleteMarker": "is_delete_marker", "StorageClass": "storage_class"}


class InventoryRow(NamedTuple):
    """One version of an object, or a delete marker, which has no size."""

    key: str
    size: int | None = 1
    etag: str = "0123"
    mtime: datetime = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
    is_latest: bool = True
    is_delete_marker: bool = False
    bucket: str = "photos"

    def value(self, column):
        """Return the value of a column of an inventory."""
        values = {
            "Bucket": self.bucket,
            "Key": self.key,
            "VersionId": "null",
            "IsLatest": self.is_latest,
            "IsDeleteMarker": self.is_delete_marker,
            "Size": self.size,
            "LastModifiedDate": self.mtime,
            "ETag": self.etag if self.size is not None else None,
            "StorageClass": "STANDARD",
        }
        return values[column]


def make_csv(rows, columns=COLUMNS):
    """Return rows as a file in CSV, compressed; keys as in URLs, every value in quotes, none for null."""

    def to_text(column, value):
        if column == "Key":
            return quote_plus(value, safe="/")
        if isinstance(value, datetime):
            return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
        return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([to_text(column, row.value(column)) for column in columns] for row in rows)
    return gzip.compress(text.getvalue().encode())


def make_parquet(rows, columns=COLUMNS):
    """Return rows as a file in Parquet, with several row groups."""
    types = {"Size": pa.int64(), "LastModifiedDate": pa.timestamp("ms"), "IsLatest": pa.bool_()}
    types["IsDeleteMarker"] = pa.bool_()
    arrays = {}
    for column in columns:
        values = [row.value(column) for row in rows]
        values = [value.replace(tzinfo=None) if isinstance(value, datetime) else value for value in values]
        arrays[_PARQUET_NAMES[column]] = pa.array(values, types.get(column, pa.string()))
    file = io.BytesIO()
    pq.write_table(pa.table(arrays), file, row_group_size=max(3, len(rows) // 4))
    return file.getvalue()


def write_inventory(folder, rows_of_files, file_format="Parquet", columns=COLUMNS, **changes):
    """Write an inventory below a folder and return the URI of its manifest.

    Args:
        folder: URI of the folder that stands for the destination bucket.
        rows_of_files: the rows of each file.
        file_format: `CSV` or `Parquet`.
        columns: of the files.
        changes: other values in the manifest.
    """
    listed = []
    for number, rows in enumerate(rows_of_files):
        data = (make_csv if file_format == "CSV" else make_parquet)(rows, columns)
        key = f"{CONFIGURATION}/data/{number}.{'csv.gz' if file_format == 'CSV' else 'parquet'}"
        write(join_uri(folder, key), data)
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        listed.append({"key": key, "size": len(data), "MD5checksum": md5})
    schema = ", ".join(columns) if file_format == "CSV" else "message s3.inventory { required binary key (UTF8); }"
    manifest = {
        "sourceBucket": "photos",
        "destinationBucket": "arn:aws:s3:::inventories",
        "version": "2016-11-30",
        "creationTimestamp": "1704164645000",
        "fileFormat": file_format,
        "fileSchema": schema,
        "files": listed,
    }
    data = json.dumps(manifest | changes).encode()
    uri = join_uri(folder, CONFIGURATION, "2024-01-02T03-04Z", "manifest.json")
    write(uri, data)
    write(uri.replace(".json", ".checksum"), hashlib.md5(data, usedforsecurity=False).hexdigest().encode())
    return uri
