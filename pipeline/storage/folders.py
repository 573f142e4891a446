"""Folders: what lies in one, whether something is there, and removing all of it; listed as a stream."""

import shutil
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from pipeline.storage.objects import resolve_filesystem, with_retries

MAX_KEYS_PER_PAGE = 1000
"""The most that S3 gives at a time."""


def list_names(folder: str) -> set[str]:
    """Names of the objects right below a folder; empty where there is no such folder."""
    return set(iter_names(folder))


def iter_names(folder: str) -> Iterator[str]:
    """The same one by one: of millions of objects s3fs would hold all that S3 says of each."""
    fs, path = with_retries(resolve_filesystem)(folder)
    if "s3" not in fs.protocol:
        yield from _ls_names(folder)
        return
    bucket, prefix, _ = fs.split_path(path)
    base = prefix.rstrip("/") + "/" if prefix else ""
    try:
        for page in iter_s3_pages(folder, fs, Bucket=bucket, Prefix=base, Delimiter="/"):
            found = [item["Key"] for item in page.get("Contents", ())]
            found += [item["Prefix"].rstrip("/") for item in page.get("CommonPrefixes", ())]
            yield from (key.removeprefix(base) for key in found if key != base)
    except FileNotFoundError:  # no such bucket
        return


@with_retries
def _ls_names(folder: str) -> list[str]:
    fs, path = resolve_filesystem(folder)
    fs.invalidate_cache()
    try:
        return [PurePosixPath(found).name for found in fs.ls(path, detail=False)]
    except FileNotFoundError:
        return []


def iter_s3_pages(uri: str, fs: Any, **list_parameters: str) -> Iterator[dict[str, Any]]:  # noqa: ANN401 — fsspec has no types
    """What S3 lists, a page at a time.

    Args:
        uri: for messages.
        fs: the file system.
        list_parameters: parameters of ListObjectsV2.
    """
    continuation: dict[str, str] = {}
    while True:
        page = _fetch_s3_page(uri, fs, list_parameters | continuation)
        yield page
        token = page.get("NextContinuationToken", "")
        if not token:
            return
        continuation = {"ContinuationToken": token}


@with_retries
def _fetch_s3_page(uri: str, fs: Any, list_parameters: dict[str, str]) -> dict[str, Any]:  # noqa: ANN401
    page: dict[str, Any] = fs.call_s3("list_objects_v2", MaxKeys=MAX_KEYS_PER_PAGE, **list_parameters, **fs.req_kw)
    return page


@with_retries
def exists(uri: str) -> bool:
    """Whether there is something of that name; one question, however much lies beside it."""
    fs, path = resolve_filesystem(uri)
    fs.invalidate_cache()
    try:
        fs.info(path)
    except FileNotFoundError:
        return False
    return True


@with_retries
def delete_folder(folder: str) -> None:
    """Remove all objects in a folder; nothing where there is no such folder."""
    fs, path = resolve_filesystem(folder)
    fs.invalidate_cache()
    for found in fs.find(path):  # one by one: removing folders expands globs, and passes over what cannot be removed
        fs.rm_file(found)
    if "file" in fs.protocol and fs.exists(path):
        shutil.rmtree(path)
