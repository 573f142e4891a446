"""Servers of HTTP and HTTPS, for reading."""

import errno
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO, cast

from aiohttp import ClientResponse
from fsspec.asyn import sync
from fsspec.spec import AbstractBufferedFile
from yarl import URL

from pipeline.errors import StorageError
from pipeline.storage.fsspec_store import FsspecStore
from pipeline.storage.prefetch import prefetch_map
from pipeline.storage.retries import with_retries
from pipeline.storage.store import Entry, ignore_special, leave_out_nothing

_CHUNK_BYTES, _STAT_THREADS = 2**16, 16


class HttpStore(FsspecStore):
    """An `ObjectStore` for reading: bodies are streamed and cut off; a page of links stands for a folder."""

    glob_marks = "*"  # a question mark begins the query

    def read(self, path: str) -> bytes:
        """Return the body of an answer."""
        return self._fetch(path, 0, None)

    def read_range(self, path: str, start: int, end: int) -> bytes:
        """Return some of a body; from a server that ignores ranges what comes before is read and dropped."""
        return self._fetch(path, start, end) if start < end else b""

    def open(self, path: str, read_ahead: int) -> BinaryIO:
        """Open a body for reading in ranges.

        Raises:
            StorageError: the server does not give its length.
        """
        headers = self._head(path)[0]
        if (size := _content_length(headers)) is None:
            raise StorageError(
                f"{path}: the server does not give the length of this file, so it cannot be read in parts: download it"
            )
        return cast(BinaryIO, _HttpFile(self, self._fs, path, size, read_ahead))

    def stat(self, path: str) -> Entry:
        """Return the state of a body as the server gives it; 0 and an empty etag for what it does not give.

        Raises:
            FileNotFoundError: there is none, or it is the page of links of a folder.
        """
        headers, url = self._head(path)
        if url.path.endswith("/") and not URL(path).path.endswith("/"):
            raise FileNotFoundError(path)
        etag = headers.get("ETag", "").removeprefix("W/").strip('"')
        return Entry(path, path, _content_length(headers) or 0, etag, _last_modified(headers))

    def exists(self, path: str) -> bool:
        """Whether the server has an answer."""
        try:
            self._head(path)
        except FileNotFoundError:
            return False
        return True

    def list_objects(
        self,
        root: str,
        prefix: str,
        accepts: Callable[[str], object],
        on_special: Callable[[str, bool], object] = ignore_special,
        leaves_out: Callable[[str], bool] = leave_out_nothing,
        streams: int = 1,
    ) -> Iterator[Entry]:
        """Follow the links of the pages below `root`, and ask for the state of each file."""

        def stat_listed(entry: Entry) -> Entry:
            try:
                return with_retries(self._stat_uri)(entry.uri)._replace(key=entry.key)
            except (FileNotFoundError, StorageError):  # reading it reports why
                return entry

        listed = super().list_objects(root, prefix, accepts, on_special, leaves_out)
        for _, entry in prefetch_map(stat_listed, listed, _STAT_THREADS):
            yield entry

    def _list_folder(self, uri: str, path: str, *, detail: bool) -> list[Any]:
        """List the links of a page, which has the slash that folders end with."""
        return super()._list_folder(uri, path.rstrip("/") + "/", detail=detail)

    def _stat_uri(self, uri: str) -> Entry:
        return self.stat(uri)

    def _fetch(self, url: str, start: int, end: int | None) -> bytes:
        return cast(bytes, sync(self._fs.loop, self._fetch_async, url, start, end))

    async def _fetch_async(self, url: str, start: int, end: int | None) -> bytes:
        """Return the bytes from `start` up to `end`, and hang up where a body goes on."""
        ranges = {} if end is None else {"Range": f"bytes={start}-{end - 1}"}
        async with await self._request("GET", url, ranges) as response:
            if response.status == 416:  # the range begins beyond the end
                return b""
            _check_status(response, url)
            to_skip, body = start if response.status != 206 else 0, bytearray()
            if response.status == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                raise OSError(errno.EIO, f"{url}: the server sent another range than it was asked for")
            async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                body += chunk[to_skip:]
                to_skip = max(0, to_skip - len(chunk))
                if end is not None and len(body) >= end - start:
                    del body[end - start :]
                    break
            return bytes(body)

    def _head(self, url: str) -> tuple[Mapping[str, str], URL]:
        """Return the headers of an answer, and the URL that it came from after redirects."""
        return cast(tuple[Mapping[str, str], URL], sync(self._fs.loop, self._head_async, url))

    async def _head_async(self, url: str) -> tuple[Mapping[str, str], URL]:
        async with await self._request("HEAD", url, {}) as response:
            if response.ok:
                return response.headers, response.url
            if response.status in (429, 503):  # nothing more is asked of a server that has enough
                _check_status(response, url)
        async with await self._request("GET", url, {}) as response:  # some servers do not answer HEAD
            _check_status(response, url)
            return response.headers, response.url

    async def _request(self, method: str, url: str, headers: dict[str, str]) -> ClientResponse:
        session = await self._fs.set_session()
        options = dict(self._fs.kwargs)
        options["headers"] = dict(options.get("headers", {})) | {"Accept-Encoding": "identity"} | headers
        response = await session.request(method, self._fs.encode_url(url), allow_redirects=True, **options)
        return cast(ClientResponse, response)


class _HttpFile(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """A body that is read in ranges, a block ahead."""

    def __init__(self, store: HttpStore, fs: object, url: str, size: int, block_size: int) -> None:
        self._store = store
        super().__init__(fs, url, "rb", block_size=block_size, size=size)

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self._store.read_range(self.path, start, end)


def _check_status(response: ClientResponse, url: str) -> None:
    if response.status in (404, 410):
        raise FileNotFoundError(errno.ENOENT, "the server has no such file", url)
    if response.status in (401, 403):
        raise PermissionError(errno.EACCES, f"the server refuses it ({response.status} {response.reason})", url)
    response.raise_for_status()


def _content_length(headers: Mapping[str, str]) -> int | None:
    """Return how many bytes a body has; None if that is not given, or is the length of a compressed form."""
    digits = headers.get("Content-Length", "")
    if headers.get("Content-Encoding", "identity") != "identity" or not digits.isdecimal():
        return None
    return int(digits)


def _last_modified(headers: Mapping[str, str]) -> float:
    try:
        return parsedate_to_datetime(headers.get("Last-Modified", "")).timestamp()
    except ValueError:
        return 0.0
