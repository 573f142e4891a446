"""Which store a URI lives in: the one place that looks at protocols."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import fsspec

from pipeline.errors import StorageError
from pipeline.redaction import has_credentials, redact
from pipeline.storage.filenames import has_unstorable_characters
from pipeline.storage.fsspec_store import FsspecStore
from pipeline.storage.local_store import LocalStore
from pipeline.storage.s3_store import S3Store
from pipeline.storage.store import ObjectStore
from pipeline.storage.uris import absolute_uri, is_local_path


def _make_http_store(fs: object) -> ObjectStore:
    from pipeline.storage.http_store import HttpStore  # imports aiohttp

    return HttpStore(fs)


async def _make_http_session(**options: object) -> object:
    from pipeline.storage.http_session import make_session  # imports aiohttp

    return await make_session(**options)


STORES: dict[str, Callable[[Any], ObjectStore]] = {
    "file": LocalStore,
    "http": _make_http_store,
    "s3": S3Store,
}
"""Protocol of an fsspec file system → its store; `FsspecStore` for all others."""
_HTTP_OPTIONS = {"get_client": _make_http_session}
FILESYSTEM_OPTIONS: dict[str, dict[str, Any]] = {"http": _HTTP_OPTIONS, "https": _HTTP_OPTIONS}
"""Protocol → what its file system is made with."""
S3_CONNECTIONS = 64
"""The most connections to S3 at a time; botocore's default is 10."""
_CHAINED = re.compile(
    r"[\w+.-]*::|.*::[\w+.-]+://|(zip|tar|libarchive|dir|reference|simplecache|filecache|blockcache|cached)://",
    re.IGNORECASE | re.DOTALL,
)


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
        StorageError: the URI holds credentials or a character that is not valid Unicode, or chains file systems.
    """
    absolute = absolute_uri(uri)
    if has_unstorable_characters(absolute):
        raise StorageError(
            f"{redact(ascii(uri))} holds a character that is not valid Unicode, such as half a surrogate pair, and "
            "names nothing in any storage: write it in UTF-8"
        )
    if has_credentials(uri):
        raise StorageError(
            f"{redact(uri)}: this URI holds credentials, which would end up in manifests and reports: "
            "remove them, and set them in the environment or in the storage's own settings"
        )
    if absolute.startswith("/"):
        return _local_filesystem(), absolute
    check_not_chained(uri)
    protocol = (fsspec.core.split_protocol(absolute)[0] or "file").lower()
    fs_class = fsspec.get_filesystem_class(protocol)
    options = fs_class._get_kwargs_from_urls(absolute) | FILESYSTEM_OPTIONS.get(protocol, {})
    if protocol in ("s3", "s3a"):
        configured = fsspec.config.apply_config(fs_class, {}).get("config_kwargs", {})
        options |= {"config_kwargs": {"max_pool_connections": S3_CONNECTIONS} | configured}
    return fs_class(**options, use_listings_cache=False), str(fs_class._strip_protocol(absolute))


@lru_cache
def _local_filesystem() -> Any:  # noqa: ANN401 — fsspec has no types
    """Return the file system of local paths; it holds no state, and finding it anew takes as long as a small file."""
    return fsspec.get_filesystem_class("file")(use_listings_cache=False)


def check_not_chained(uri: str) -> None:
    """Check that a URI names one place, and not a place inside what another URI names.

    Raises:
        StorageError: it chains file systems, as in `zip://*.png::s3://box.zip`.
    """
    if not is_local_path(uri) and _CHAINED.match(uri):
        inner = uri.rpartition("::")[2]
        advice = (
            f"write {inner} alone" if "::" in uri else "write the URI of the archive alone, as in s3://bucket/a.zip"
        )
        raise StorageError(
            f"{uri}: URIs that are chained, or name a place inside an archive, are not read: {advice}; "
            "the photos inside a .zip, .tar or .parquet are found by themselves"
        )
