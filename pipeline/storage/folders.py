"""Folders: what lies in one, whether something is there, and removing all of it; listed as a stream."""

import shutil
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from pipeline.storage.objects import filesystem, told

PAGE_KEYS = 1000
"""The most that S3 gives at a time."""


def names(folder: str) -> set[str]:
    """Names of the objects right below a folder; empty where there is no such folder."""
    return set(each_name(folder))


def each_name(folder: str) -> Iterator[str]:
    """The same one by one: of millions of objects s3fs would hold all that S3 says of each."""
    fs, path = told(filesystem)(folder)
    if "s3" not in fs.protocol:
        yield from _listed(folder)
        return
    bucket, prefix, _ = fs.split_path(path)
    below = prefix.rstrip("/") + "/" if prefix else ""
    try:
        for page in pages(folder, fs, Bucket=bucket, Prefix=below, Delimiter="/"):
            found = [item["Key"] for item in page.get("Contents", ())]
            found += [item["Prefix"].rstrip("/") for item in page.get("CommonPrefixes", ())]
            yield from (key.removeprefix(below) for key in found if key != below)
    except FileNotFoundError:  # no such bucket
        return


@told
def _listed(folder: str) -> list[str]:
    fs, path = filesystem(folder)
    fs.invalidate_cache()
    try:
        return [PurePosixPath(found).name for found in fs.ls(path, detail=False)]
    except FileNotFoundError:
        return []


def pages(uri: str, fs: Any, **which: str) -> Iterator[dict[str, Any]]:  # noqa: ANN401 — fsspec has no types
    """What S3 lists, a page at a time.

    Args:
        uri: for messages.
        fs: the file system.
        which: parameters of ListObjectsV2.
    """
    more: dict[str, str] = {}
    while True:
        page = _page(uri, fs, which | more)
        yield page
        token = page.get("NextContinuationToken", "")
        if not token:
            return
        more = {"ContinuationToken": token}


@told
def _page(_: str, fs: Any, which: dict[str, str]) -> dict[str, Any]:  # noqa: ANN401
    page: dict[str, Any] = fs.call_s3("list_objects_v2", MaxKeys=PAGE_KEYS, **which, **fs.req_kw)
    return page


@told
def exists(uri: str) -> bool:
    """Whether there is something of that name; one question, however much lies beside it."""
    fs, path = filesystem(uri)
    fs.invalidate_cache()
    try:
        fs.info(path)
    except FileNotFoundError:
        return False
    return True


@told
def remove(folder: str) -> None:
    """Remove all objects in a folder; nothing where there is no such folder."""
    fs, path = filesystem(folder)
    fs.invalidate_cache()
    for found in fs.find(path):  # one by one: removing folders expands globs, and passes over what cannot be removed
        fs.rm_file(found)
    if "file" in fs.protocol and fs.exists(path):
        shutil.rmtree(path)
