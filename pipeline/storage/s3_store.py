"""Amazon S3, and endpoints that speak its protocol."""

import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import cast

from pipeline.errors import AccessDeniedError, StorageError
from pipeline.storage.advice import describe_missing_bucket
from pipeline.storage.filenames import escape_hashes
from pipeline.storage.fsspec_store import FsspecStore
from pipeline.storage.key_ranges import KeyOrderError, RangePlanner, check_order
from pipeline.storage.parallel_listing import list_ranges
from pipeline.storage.probes import probe_once
from pipeline.storage.retries import with_retries
from pipeline.storage.s3_pages import S3Object, S3Page, fetch_page
from pipeline.storage.store import Entry, ignore_special, leave_out_nothing
from pipeline.storage.temporary_names import temporary_path

log = logging.getLogger(__name__)

MAX_KEYS_PER_PAGE = 1000
"""The most keys that S3 returns at a time."""
MAX_PAGES_PER_STREAM = 12
"""Pages that a listing holds at most until their turn comes, for each of its streams."""
_DIRECTORY_BUCKET_SUFFIX = "--x-s3"


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
                found = [(each.key, each.etag) for each in page.objects]
                found += [(each.rstrip("/"), "") for each in page.folders]
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
        streams: int = 1,
    ) -> Iterator[Entry]:
        """List a bucket flat: S3 sorts keys by their UTF-8 bytes, which is the order of code points."""
        bucket, bucket_prefix, _ = self._fs.split_path(prefix)
        key_offset, empty = len(root) - len(bucket), True
        for objects in self._iter_listing(self.to_uri(prefix), bucket, bucket_prefix, streams):
            for name, size, etag, mtime in objects:
                empty = False
                if accepts(f"{bucket}/{name}") and not name.endswith("/"):
                    key = name[key_offset:] if key_offset else name
                    yield Entry(self.to_uri(f"{bucket}/{name}"), key, size, etag, mtime)
        if empty:
            raise FileNotFoundError(self.to_uri(root))

    def _iter_listing(self, uri: str, bucket: str, prefix: str, streams: int) -> Iterator[list[S3Object]]:
        """Yield the pages of a listing, the first two one after the other: most listings have no more."""
        first = self._fetch_page(uri, {"Bucket": bucket, "Prefix": prefix})
        yield first.objects
        rest = {"Bucket": bucket, "Prefix": prefix, "ContinuationToken": first.token}
        if not first.token:
            return
        second = self._fetch_after(uri, bucket, prefix, first) if streams > 1 else None
        if second is None:
            yield from (page.objects for page in self._iter_pages(uri, **rest))
            return
        yield second.objects
        if not second.token:
            return
        pages = [first.objects, second.objects]
        planner = RangePlanner(prefix, pages, MAX_KEYS_PER_PAGE, streams * MAX_PAGES_PER_STREAM)

        def fetch_next(start_after: str, token: str) -> S3Page:
            position = {"ContinuationToken": token} if token else {"StartAfter": start_after}
            return self._fetch_page(uri, {"Bucket": bucket, "Prefix": prefix} | position)

        try:
            yield from list_ranges(planner, fetch_next, streams)
        except KeyOrderError as error:
            raise StorageError(
                f"{uri}: {error}, which is not the order of their names: set list_streams to 1"
            ) from error

    def _fetch_after(self, uri: str, bucket: str, prefix: str, first: S3Page) -> S3Page | None:
        """Return the page after another one by its last key; None, with a line in the log, if that cannot be done."""
        reason = ""
        if not first.objects:
            reason = "its first page is empty"
        elif bucket.endswith(_DIRECTORY_BUCKET_SUFFIX):
            reason = "directory buckets do not sort keys"
        else:
            last = first.objects[-1].key
            try:
                second = self._fetch_page(uri, {"Bucket": bucket, "Prefix": prefix, "StartAfter": last})
                check_order("", first.objects)
                check_order(last, second.objects)
            except KeyOrderError as error:
                reason = f"the endpoint does not heed StartAfter or does not sort: {error}"
            except AccessDeniedError:
                raise
            except StorageError as error:
                reason = str(error)
            else:
                if second.objects:
                    return second
                reason = "its second page is empty"
        log.info("%s is listed page by page: %s", uri, reason)
        return None

    def _iter_pages(self, uri: str, **parameters: str) -> Iterator[S3Page]:
        """Yield the pages of ListObjectsV2; the URI is for messages."""
        while True:
            page = self._fetch_page(uri, parameters)
            yield page
            if not page.token:
                return
            parameters["ContinuationToken"] = page.token

    def _fetch_page(self, uri: str, parameters: dict[str, str]) -> S3Page:
        return with_retries(self._fetch_page_once)(uri, parameters)

    def _fetch_page_once(self, uri: str, parameters: dict[str, str]) -> S3Page:
        return fetch_page(self._fs, {"MaxKeys": MAX_KEYS_PER_PAGE} | parameters)

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
