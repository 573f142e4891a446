"""Amazon S3, and endpoints that speak its protocol."""

import errno
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, cast

from pipeline.errors import StorageError
from pipeline.storage.advice import describe_missing_bucket
from pipeline.storage.filenames import escape_hashes
from pipeline.storage.fsspec_store import FsspecStore
from pipeline.storage.probes import probe_once
from pipeline.storage.retries import with_retries
from pipeline.storage.store import Entry, ignore_special, leave_out_nothing
from pipeline.storage.temporary_names import temporary_path

MAX_KEYS_PER_PAGE = 1000
"""The most keys that S3 returns at a time."""


class S3Store(FsspecStore):
    """An `ObjectStore` over s3fs: creates are sent with `If-None-Match: *`, listings come page by page."""

    def to_uri(self, path: str) -> str:
        """Return the path with `s3://` in front."""
        return f"s3://{escape_hashes(path)}"

    def read(self, path: str) -> bytes:
        """Return the bytes of one version: concurrent ranges of an object that changes would not fit together."""
        return cast(bytes, self._fs.cat_file(path, max_concurrency=1))

    def write(self, path: str, data: bytes, permissions: int | None = None) -> None:
        """Upload an object; it appears when the upload is complete."""
        self._upload(path, data)

    def create(self, path: str, data: bytes, permissions: int | None = None) -> None:
        """Upload an object on the condition that there is none, where the endpoint heeds that."""
        if self.supports_conditional_create(path.rpartition("/")[0]):
            self._upload_if_absent(path, data)
        else:
            super().create(path, data, permissions)

    def supports_conditional_create(self, folder: str) -> bool:
        """Whether the endpoint of a bucket heeds `If-None-Match: *`; some ignore it."""
        bucket = self._fs.split_path(folder)[0]
        return probe_once(bucket, lambda: self._probe_if_none_match(temporary_path(folder)))

    def list_names(self, folder: str) -> Iterator[str]:
        """Yield the names of one level, page by page."""
        return (name for name, _ in self.list_etags(folder))

    def list_etags(self, folder: str) -> Iterator[tuple[str, str]]:
        """Yield the names of one level with their ETags, page by page; folders have none."""
        bucket, prefix, _ = self._fs.split_path(folder)
        base = prefix.rstrip("/") + "/" if prefix else ""
        try:
            for page in self._iter_pages(self.to_uri(folder), Bucket=bucket, Prefix=base, Delimiter="/"):
                found = [(item["Key"], item.get("ETag", "").strip('"')) for item in page.get("Contents", ())]
                found += [(item["Prefix"].rstrip("/"), "") for item in page.get("CommonPrefixes", ())]
                yield from ((key.removeprefix(base), etag) for key, etag in found if key != base)
        except FileNotFoundError:  # no such bucket
            return

    def list_objects(
        self,
        root: str,
        prefix: str,
        accepts: Callable[[str], object],
        on_special: Callable[[str, bool], object] = ignore_special,
        leaves_out: Callable[[str], bool] = leave_out_nothing,
    ) -> Iterator[Entry]:
        """List a bucket flat: S3 sorts keys by their UTF-8 bytes, which is the order of code points."""
        bucket, bucket_prefix, _ = self._fs.split_path(prefix)
        key_offset, empty = len(root) - len(bucket), True
        for page in self._iter_pages(self.to_uri(prefix), Bucket=bucket, Prefix=bucket_prefix):
            for item in page.get("Contents", ()):
                name, empty = item["Key"], False
                if accepts(f"{bucket}/{name}") and not name.endswith("/"):
                    key = name[key_offset:] if key_offset else name
                    etag, mtime = item["ETag"].strip('"'), item["LastModified"].timestamp()
                    yield Entry(self.to_uri(f"{bucket}/{name}"), key, item["Size"], etag, mtime)
        if empty:
            raise FileNotFoundError(self.to_uri(root))

    def _iter_pages(self, uri: str, **list_parameters: str) -> Iterator[dict[str, Any]]:
        """Yield the pages of ListObjectsV2; the URI is for messages."""
        continuation: dict[str, str] = {}
        while True:
            page = with_retries(self._fetch_page)(uri, list_parameters | continuation)
            yield page
            token = page.get("NextContinuationToken", "")
            if not token:
                return
            continuation = {"ContinuationToken": token}

    def _fetch_page(self, uri: str, list_parameters: dict[str, str]) -> dict[str, Any]:
        page = self._fs.call_s3("list_objects_v2", MaxKeys=MAX_KEYS_PER_PAGE, **list_parameters, **self._fs.req_kw)
        return cast(dict[str, Any], page)

    def _probe_if_none_match(self, probe: str) -> bool:
        """Whether the second of two creates of one new name, with different contents, is refused."""
        try:
            with suppress(FileExistsError):  # the first had landed and its answer was lost
                self._upload_if_absent(probe, b"first")
            self._upload_if_absent(probe, b"second")
        except FileExistsError:
            return True
        except OSError as error:
            if s3_error_code(error) not in ("NotImplemented", "501"):
                raise
        finally:
            with suppress(OSError):  # without the right to delete, the probe stays
                self._fs.rm_file(probe)
        return False

    def _upload_if_absent(self, path: str, data: bytes) -> None:
        try:
            self._upload(path, data, mode="create")
        except OSError as error:
            if s3_error_code(error) in ("PreconditionFailed", "412"):  # s3fs maps it only with the details AWS adds
                raise FileExistsError(path) from error
            raise

    def _upload(self, path: str, data: bytes, **options: str) -> None:
        try:
            self._fs.pipe_file(path, data, **options)
        except FileNotFoundError as error:
            if s3_error_code(error) == "NoSuchUpload":  # of several parts, completed by a request whose answer was lost
                raise OSError(errno.EIO, f"the upload of {path} was already completed or aborted") from error
            raise StorageError(describe_missing_bucket(self.to_uri(path))) from error


def s3_error_code(error: BaseException) -> str:
    """Return the code of an S3 endpoint's error; empty if the error came from elsewhere."""
    response = getattr(error.__cause__, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))
