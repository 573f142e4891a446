"""Which store a URI lives in: the one place that looks at protocols."""

from collections.abc import Callable
from typing import Any

import fsspec

from pipeline.errors import StorageError
from pipeline.redaction import has_credentials, redact
from pipeline.storage.filenames import has_unstorable_characters
from pipeline.storage.fsspec_store import FsspecStore
from pipeline.storage.local_store import LocalStore
from pipeline.storage.s3_store import S3Store
from pipeline.storage.store import ObjectStore
from pipeline.storage.uris import absolute_uri

STORES: dict[str, Callable[[Any], ObjectStore]] = {
    "file": LocalStore,
    "s3": S3Store,
}
"""Protocol of an fsspec file system → its store; `FsspecStore` for all others."""


def resolve_store(uri: str) -> tuple[ObjectStore, str]:
    """Return the store of a URI, and the path in it.

    Raises:
        StorageError: the URI holds credentials.
    """
    fs, path = resolve_filesystem(uri)
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
    make_store = next((STORES[protocol] for protocol in protocols if protocol in STORES), FsspecStore)
    store = make_store(fs)
    return store, store.to_path(path)


def resolve_filesystem(uri: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URI, without a cache of listings, and the path on it.

    Raises:
        StorageError: the URI holds credentials, or a character that is not valid Unicode.
    """
    if has_unstorable_characters(absolute_uri(uri)):
        raise StorageError(
            f"{redact(ascii(uri))} holds a character that is not valid Unicode, such as half a surrogate pair, and "
            "names nothing in any storage: write it in UTF-8"
        )
    if has_credentials(uri):
        raise StorageError(
            f"{redact(uri)}: this URI holds credentials, which would end up in manifests and reports: "
            "remove them, and set them in the environment or in the storage's own settings"
        )
    fs, path = fsspec.core.url_to_fs(absolute_uri(uri), use_listings_cache=False)
    return fs, str(path)
