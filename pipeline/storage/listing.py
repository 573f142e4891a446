"""Listing: the photos of a folder, glob or file, streamed in the order of their keys."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import glob_translate

from pipeline.errors import StorageError
from pipeline.storage.filenames import escape_filename
from pipeline.storage.folders import iter_s3_pages
from pipeline.storage.objects import Entry, resolve_filesystem, with_retries


def list_objects(uri: str, accepts: Callable[[str], bool]) -> Iterator[Entry]:
    """Every object below a folder whose name is accepted, every file that matches a glob, or one file.

    Nothing is held but a page of the store's answer (S3) or one folder (elsewhere), so that a collection of any size
    can be listed. Keys come in ascending order of their code points, each once.

    Args:
        uri: a folder, a glob or a file.
        accepts: whether an object of such a name is wanted; asked for folders only.

    Raises:
        FileNotFoundError: no such folder, bucket or file.
        StorageError: it cannot be listed, or not in order.
    """
    fs, path = with_retries(resolve_filesystem)(uri)
    matches: Callable[[str], object]
    if "*" in path or "?" in path:
        path_prefix = path[: min(path.find(mark) for mark in "*?[" if mark in path)]
        root, matches = path_prefix.rpartition("/")[0], re.compile(glob_translate(path)).fullmatch
    elif not uri.endswith("/") and _is_file(uri):  # S3 may have an object that is called like a folder beside it
        root = path.rpartition("/")[0]
        yield _to_entry(fs, _stat_raw(uri), root)
        return
    else:
        root, matches = path.rstrip("/"), accepts
        path_prefix = root + "/"
    previous_key = ""
    for entry in _iter_objects(uri, fs, root, path_prefix, matches):
        if entry.key <= previous_key:
            raise StorageError(
                f"{uri}: the store lists '{entry.key}' after '{previous_key}', out of the order of their names"
            )
        previous_key = entry.key
        yield entry


def iter_files(folder: str) -> Iterator[Entry]:
    """Every file below a folder, whatever its name, streamed; none where there is no such folder.

    Raises:
        StorageError: it cannot be listed.
    """
    fs, path = with_retries(resolve_filesystem)(folder)
    root = path.rstrip("/")
    try:
        yield from _iter_objects(folder, fs, root, root + "/", lambda _: True)
    except FileNotFoundError:
        return


def stat(uri: str) -> Entry:
    """One object as a listing would give it.

    Raises:
        FileNotFoundError: there is none.
        StorageError: storage cannot tell.
    """
    fs, _ = with_retries(resolve_filesystem)(uri)
    return _to_entry(fs, _stat_raw(uri), "")


def get_mtime(uri: str) -> float:
    """When a file was last changed, seconds since 1970; 0 where unknown.

    Raises:
        FileNotFoundError: there is none.
        StorageError: storage does not say, after retries.
    """
    return stat(uri).mtime


def _iter_objects(
    uri: str,
    fs: Any,  # noqa: ANN401 — fsspec has no types
    root: str,
    path_prefix: str,
    matches: Callable[[str], object],
) -> Iterator[Entry]:
    """Wanted objects whose path begins with `path_prefix`, in order."""
    if "s3" in fs.protocol:
        return _iter_s3_objects(uri, fs, root, path_prefix, matches)
    _list_folder(root, fs)
    return (_to_entry(fs, item, root) for item in _walk_in_order(fs, root) if matches(item["name"]))


def _iter_s3_objects(
    uri: str,
    fs: Any,  # noqa: ANN401 — fsspec has no types
    root: str,
    path_prefix: str,
    matches: Callable[[str], object],
) -> Iterator[Entry]:
    """Objects of a bucket, flat, a page of a thousand at a time."""
    bucket, prefix, _ = fs.split_path(path_prefix)
    bucket_prefix, key_offset, empty = f"{bucket}/", len(root) - len(bucket), True
    for page in iter_s3_pages(uri, fs, Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", ()):
            key, empty = item["Key"], False
            if matches(bucket_prefix + key) and not key.endswith("/"):
                name = key[key_offset:] if key_offset else key
                etag, mtime = item["ETag"].strip('"'), item["LastModified"].timestamp()
                yield Entry(f"s3://{bucket_prefix}{key}", name, item["Size"], etag, mtime)
    if empty:
        raise FileNotFoundError(uri)


def _walk_in_order(fs: Any, root: str) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    """Files below a folder in the order of their paths, a folder at a time."""
    for item in sorted(
        _list_folder(root, fs), key=lambda item: escape_filename(item["name"]) + "/" * (item["type"] == "directory")
    ):
        if item["type"] == "directory":
            yield from _walk_in_order(fs, item["name"])
        elif item["type"] == "file":
            yield item


@with_retries
def _list_folder(root: str, fs: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    items: list[dict[str, Any]] = fs.ls(root, detail=True)
    return items


@with_retries
def _is_file(uri: str) -> bool:
    fs, path = resolve_filesystem(uri)
    try:
        return bool(fs.info(path)["type"] == "file")  # `isfile` would take an error for a no
    except (FileNotFoundError, PermissionError):  # who may read a folder's objects may not ask for its own name
        return False


@with_retries
def _stat_raw(uri: str) -> dict[str, Any]:
    fs, path = resolve_filesystem(uri)
    info: dict[str, Any] = fs.info(path)
    return info


def _to_entry(fs: Any, item: dict[str, Any], root: str) -> Entry:  # noqa: ANN401
    etag = str(item.get("ETag", item.get("etag", ""))).strip('"')
    modified_at = item.get("LastModified", item.get("mtime", item.get("created", 0)))
    mtime = modified_at.timestamp() if isinstance(modified_at, datetime) else float(modified_at or 0)
    name = str(item["name"])
    key = name.removeprefix(root).lstrip("/")
    is_local = isinstance(fs, LocalFileSystem)
    uri = escape_filename(name) if is_local else fs.unstrip_protocol(name)
    return Entry(uri, escape_filename(key) if is_local else key, int(item["size"] or 0), etag, mtime)
