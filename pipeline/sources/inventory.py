"""Listing a bucket by an S3 Inventory instead of by requests."""

import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from pipeline.errors import StorageError
from pipeline.sources.inventory_manifest import InventoryManifest, read_inventory_manifest
from pipeline.sources.inventory_rows import download, iter_rows
from pipeline.sources.sorted_rows import sort_rows
from pipeline.storage import Entry, escape_hashes

log = logging.getLogger(__name__)


def list_inventory(uri: str, root: str, prefix: str, accepts: Callable[[str], object]) -> Iterator[Entry]:
    """Stream the objects that an inventory lists below a folder of its bucket, as `ObjectStore.list_objects` does.

    The files of the inventory are copied to the temporary folder one at a time, and their rows sorted there: one and a
    half times the bytes of all keys and some 100 more for each object.

    Args:
        uri: of the `manifest.json`.
        root: bucket and folder that the keys are relative to.
        prefix: bucket and what every accepted key begins with.
        accepts: whether an object of such a path is wanted.

    Raises:
        StorageError: the inventory cannot be read, is that of another bucket, or lists nothing with the prefix.
    """
    bucket, _, key_prefix = prefix.partition("/")
    manifest = read_inventory_manifest(uri)
    if manifest.bucket != bucket:
        raise StorageError(
            f"inventory {uri} lists the bucket {manifest.bucket}, but images are in {bucket}: name an inventory of "
            f"{bucket}"
        )
    log.info("s3://%s is listed by the inventory of %s (%s)", prefix, manifest.created, uri)
    previous, offset = "", len(root) - len(bucket)
    with tempfile.TemporaryDirectory(prefix="deepot-inventory-") as folder:
        for key, size, etag, mtime in sort_rows(_iter_tables(manifest, key_prefix, Path(folder)), Path(folder)):
            if key == previous:
                raise StorageError(
                    f"inventory {uri} lists '{key}' twice: include the fields IsLatest and IsDeleteMarker, or only "
                    "current versions, in the inventory configuration"
                )
            previous, path = key, f"{bucket}/{key}"
            if accepts(path) and not key.endswith("/"):
                yield Entry(f"s3://{escape_hashes(path)}", key[offset:] if offset else key, size, etag, mtime)
    if not previous:
        raise StorageError(
            f"inventory {uri} lists nothing below s3://{prefix}: check the prefix of the inventory configuration, or "
            "leave out the inventory"
        )


def _iter_tables(manifest: InventoryManifest, key_prefix: str, folder: Path) -> Iterator[pa.Table]:
    for file in manifest.files:
        path = folder / "inventory-file"
        download(file, path)
        yield from iter_rows(manifest, file, path, key_prefix)
        path.unlink()
