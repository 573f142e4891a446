"""Pages of ListObjectsV2, read from their XML without botocore's parser.

For the thousand keys of a page botocore takes about 70 ms of CPU, most of it for their dates. ElementTree takes a small
part of that (`benchmarks/bench_listing.py`). The request is botocore's: credentials, endpoint, retries and signature.
"""

import errno
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import unquote_plus
from xml.etree import ElementTree

import fsspec.asyn

_EVENT = "before-parse.*.*"  # its handlers are called before those of `before-parse.s3.*`, which look for an error
_BODY_KEY = "DeepotBody"
_ROOT_BYTES = 1024  # of an answer, in which its root element begins
_keeps_body: ContextVar[bool] = ContextVar("keeps_body", default=False)


class S3Object(NamedTuple):
    """One object of a page.

    Attributes:
        key: in the bucket.
        size: bytes.
        etag: without quotes.
        mtime: time of the last change, seconds since 1970.
    """

    key: str
    size: int
    etag: str
    mtime: float


class S3Page(NamedTuple):
    """One answer to ListObjectsV2.

    Attributes:
        objects: in the order of their keys.
        folders: the common prefixes, if the request has a delimiter.
        token: continues the listing; empty at its end.
    """

    objects: list[S3Object]
    folders: list[str]
    token: str


def fetch_page(fs: Any, parameters: Mapping[str, Any]) -> S3Page:  # noqa: ANN401 — s3fs has no types
    """Return a page of ListObjectsV2, requested through the client of an s3fs file system.

    Raises:
        OSError: the answer is no page, or not a complete one; apart from that, whatever s3fs raises.
    """
    return parse_page(fsspec.asyn.sync(fs.loop, _fetch_body, fs, parameters))


async def _fetch_body(fs: Any, parameters: Mapping[str, Any]) -> bytes:  # noqa: ANN401
    await fs.set_session()
    client = await fs.get_s3(parameters["Bucket"])
    client.meta.events.register_first(_EVENT, _keep_body, unique_id="deepot-keep-body")
    _keeps_body.set(True)  # in this task alone
    answer = await fs._call_s3("list_objects_v2", **parameters)
    if _BODY_KEY not in answer:
        raise OSError(errno.EIO, "the answer to ListObjectsV2 has no ListBucketResult")
    return bytes(answer[_BODY_KEY])


def _keep_body(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """Take the XML of a page away from botocore's parser; it keeps that of an error."""
    body = response_dict.get("body", b"")
    if _keeps_body.get() and response_dict["status_code"] == 200 and b"ListBucketResult" in body[:_ROOT_BYTES]:
        customized_response_dict[_BODY_KEY] = body
        response_dict["body"] = b"<ListBucketResult/>"


def parse_page(body: bytes) -> S3Page:
    """Return the page that the XML of an answer holds.

    Raises:
        OSError: it is none, or not a complete one.
    """
    try:
        return _to_page(ElementTree.fromstring(body))
    except (ElementTree.ParseError, KeyError, TypeError, ValueError) as error:
        raise OSError(errno.EIO, f"the answer to ListObjectsV2 cannot be read: {error!r}") from error


def _to_page(root: ElementTree.Element) -> S3Page:
    namespace = root.tag.removesuffix("ListBucketResult")
    objects = [_to_object(each, namespace) for each in root.iterfind(f"{namespace}Contents")]
    folders = [each.findtext(f"{namespace}Prefix", "") for each in root.iterfind(f"{namespace}CommonPrefixes")]
    if root.findtext(f"{namespace}EncodingType") == "url":  # botocore asks for it
        objects = [each._replace(key=unquote_plus(each.key)) if _is_encoded(each.key) else each for each in objects]
        folders = list(map(unquote_plus, folders))
    is_truncated = root.findtext(f"{namespace}IsTruncated", "").strip() == "true"
    token = root.findtext(f"{namespace}NextContinuationToken", "")
    if is_truncated and not token:
        raise ValueError("it is truncated and has no NextContinuationToken")
    return S3Page(objects, folders, token if is_truncated else "")


def _to_object(element: ElementTree.Element, namespace: str) -> S3Object:
    values = {child.tag.removeprefix(namespace): child.text or "" for child in element}
    mtime = datetime.fromisoformat(values["LastModified"]).timestamp()
    return S3Object(values["Key"], int(values["Size"]), values.get("ETag", "").strip('"'), mtime)


def _is_encoded(key: str) -> bool:
    return "%" in key or "+" in key
