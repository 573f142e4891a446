"""Listing: the photos of a folder, glob or file, streamed in the order of their keys."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import glob_translate

from pipeline.errors import StorageError
from pipeline.imageio.extensions import has_image_suffix
from pipeline.storage.filenames import shown
from pipeline.storage.folders import pages
from pipeline.storage.objects import Entry, filesystem, told


def listing(uri: str) -> Iterator[Entry]:
    """Every image below a folder (by its suffix), every file that matches a glob, or one file.

    Nothing is held but a page of the store's answer (S3) or one folder (elsewhere), so that a collection of any size
    can be listed. Keys come in ascending order of their code points, each once.

    Raises:
        FileNotFoundError: no such folder, bucket or file.
        StorageError: it cannot be listed, or not in order.
    """
    fs, path = told(filesystem)(uri)
    wanted: Callable[[str], object]
    if "*" in path or "?" in path:
        fixed = path[: min(path.find(mark) for mark in "*?[" if mark in path)]
        root, wanted = fixed.rpartition("/")[0], re.compile(glob_translate(path)).fullmatch
    elif not uri.endswith("/") and _is_file(uri):  # S3 may have an object that is called like a folder beside it
        root = path.rpartition("/")[0]
        yield _entry(fs, _info(uri), root)
        return
    else:
        root, wanted = path.rstrip("/"), has_image_suffix
        fixed = root + "/"
    before = ""
    for entry in _objects(uri, fs, root, fixed, wanted):
        if entry.key <= before:
            raise StorageError(
                f"{uri}: the store lists '{entry.key}' after '{before}', out of the order of their names"
            )
        before = entry.key
        yield entry


def files(folder: str) -> Iterator[Entry]:
    """Every file below a folder, whatever its name, streamed; none where there is no such folder.

    Raises:
        StorageError: it cannot be listed.
    """
    fs, path = told(filesystem)(folder)
    root = path.rstrip("/")
    try:
        yield from _objects(folder, fs, root, root + "/", lambda _: True)
    except FileNotFoundError:
        return


def described(uri: str) -> Entry:
    """One object as a listing would give it.

    Raises:
        FileNotFoundError: there is none.
        StorageError: storage cannot tell.
    """
    fs, _ = told(filesystem)(uri)
    return _entry(fs, _info(uri), "")


def modified(uri: str) -> float:
    """When a file was last changed, seconds since 1970; 0 where unknown.

    Raises:
        FileNotFoundError: there is none.
        StorageError: storage does not say, after retries.
    """
    return described(uri).mtime


def _objects(
    uri: str,
    fs: Any,  # noqa: ANN401 — fsspec has no types
    root: str,
    fixed: str,
    wanted: Callable[[str], object],
) -> Iterator[Entry]:
    """Wanted objects whose path begins with `fixed`, in order."""
    if "s3" in fs.protocol:
        return _paged(uri, fs, root, fixed, wanted)
    _folder(root, fs)
    return (_entry(fs, item, root) for item in _walk(fs, root) if wanted(item["name"]))


def _paged(uri: str, fs: Any, root: str, fixed: str, wanted: Callable[[str], object]) -> Iterator[Entry]:  # noqa: ANN401
    """Objects of a bucket, flat, a page of a thousand at a time."""
    bucket, prefix, _ = fs.split_path(fixed)
    base, below, empty = f"{bucket}/", len(root) - len(bucket), True
    for page in pages(uri, fs, Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", ()):
            key, empty = item["Key"], False
            if wanted(base + key) and not key.endswith("/"):
                name = key[below:] if below else key
                etag, changed = item["ETag"].strip('"'), item["LastModified"].timestamp()
                yield Entry(f"s3://{base}{key}", name, item["Size"], etag, changed)
    if empty:
        raise FileNotFoundError(uri)


def _walk(fs: Any, root: str) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    """Files below a folder in the order of their paths, a folder at a time."""
    for item in sorted(_folder(root, fs), key=lambda item: shown(item["name"]) + "/" * (item["type"] == "directory")):
        if item["type"] == "directory":
            yield from _walk(fs, item["name"])
        elif item["type"] == "file":
            yield item


@told
def _folder(root: str, fs: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    items: list[dict[str, Any]] = fs.ls(root, detail=True)
    return items


@told
def _is_file(uri: str) -> bool:
    fs, path = filesystem(uri)
    try:
        return bool(fs.info(path)["type"] == "file")  # `isfile` would take an error for a no
    except (FileNotFoundError, PermissionError):  # who may read a folder's objects may not ask for its own name
        return False


@told
def _info(uri: str) -> dict[str, Any]:
    fs, path = filesystem(uri)
    info: dict[str, Any] = fs.info(path)
    return info


def _entry(fs: Any, item: dict[str, Any], root: str) -> Entry:  # noqa: ANN401
    etag = str(item.get("ETag", item.get("etag", ""))).strip('"')
    changed = item.get("LastModified", item.get("mtime", item.get("created", 0)))
    mtime = changed.timestamp() if isinstance(changed, datetime) else float(changed or 0)
    name = str(item["name"])
    key = name.removeprefix(root).lstrip("/")
    local = isinstance(fs, LocalFileSystem)
    uri = shown(name) if local else fs.unstrip_protocol(name)
    return Entry(uri, shown(key) if local else key, int(item["size"] or 0), etag, mtime)
