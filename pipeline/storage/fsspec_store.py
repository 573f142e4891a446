"""A store that only fsspec knows: memory, SFTP, Azure, Google and others."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from pipeline.errors import AccessDeniedError, StorageError
from pipeline.storage.advice import describe_missing_bucket
from pipeline.storage.faults import Fault, classify_fault
from pipeline.storage.filenames import escape_hashes, unescape_hashes
from pipeline.storage.retries import with_retries
from pipeline.storage.store import Entry, ignore_special, leave_out_nothing


class FsspecStore:
    """An `ObjectStore` over any fsspec file system; kinds with better means override what they have them for.

    Whether `write` is atomic depends on the file system: object stores publish an upload when it is complete.
    """

    glob_marks = "*?"

    def __init__(self, fs: Any) -> None:  # noqa: ANN401 — fsspec has no types
        self._fs = fs

    def to_path(self, path: str) -> str:
        """Return the path as the file system has it; paths that are URLs are encoded by their own rules."""
        return path if "://" in path else unescape_hashes(path)

    def to_uri(self, path: str) -> str:
        """Return the path with its protocol in front."""
        return str(self._fs.unstrip_protocol(path if "://" in path else escape_hashes(path)))

    def read(self, path: str) -> bytes:
        """Return the bytes of an object."""
        return cast(bytes, self._fs.cat_file(path))

    def read_range(self, path: str, start: int, end: int) -> bytes:
        """Return some of an object's bytes; most stores refuse a range that begins beyond the end."""
        try:
            return cast(bytes, self._fs.cat_file(path, start=start, end=end))
        except Exception as error:
            if classify_fault(error) is Fault.BEYOND_END:
                return b""
            raise

    def open(self, path: str, read_ahead: int) -> BinaryIO:
        """Open an object for reading."""
        return cast(BinaryIO, self._fs.open(path, "rb", block_size=read_ahead))

    def write(self, path: str, data: bytes, permissions: int | None = None) -> None:
        """Write an object by one call."""
        try:
            self._fs.pipe_file(path, data)
        except Exception as error:
            if classify_fault(error) is not Fault.MISSING:
                raise
            raise StorageError(describe_missing_bucket(self.to_uri(path))) from error

    def write_unsynced(self, path: str, data: bytes, permissions: int | None = None) -> None:
        """Write an object, which is durable at once."""
        self.write(path, data, permissions)

    def sync_folder(self, folder: str) -> None:
        """Do nothing: objects are durable."""

    def create(self, path: str, data: bytes, permissions: int | None = None) -> None:
        """Check, write, and read back, so that a writer that was overwritten in between notices."""
        if self.exists(path):
            raise FileExistsError(path)
        self.write(path, data, permissions)
        if self.read(path) != data:
            raise FileExistsError(path)

    def supports_conditional_create(self, folder: str) -> bool:
        """Return False: fsspec promises nothing."""
        return False

    def is_case_insensitive(self, folder: str) -> bool:
        """Return False: no object store is."""
        return False

    def delete(self, path: str) -> None:
        """Delete one object."""
        try:
            self._fs.rm_file(path)
        except Exception as error:
            if classify_fault(error) is not Fault.MISSING:
                raise

    def delete_folder(self, path: str) -> None:
        """Delete the objects one by one: removing folders expands globs, and skips what cannot be removed."""
        self._fs.invalidate_cache()
        for found in self._fs.find(path):
            self._fs.rm_file(found)

    def stat(self, path: str) -> Entry:
        """Return the metadata of one object from the file system."""
        info = self._fs.info(path)
        if info["type"] == "directory":
            raise FileNotFoundError(path)
        return self._to_entry(info, "")

    def exists(self, path: str) -> bool:
        """Whether the file system knows the name; its cache is not asked."""
        self._fs.invalidate_cache()
        try:
            self._fs.info(path)
        except Exception as error:
            if classify_fault(error) is Fault.MISSING:
                return False
            raise
        return True

    def get_permissions(self, path: str) -> int | None:
        """Return None: fsspec knows no permission bits."""
        return None

    def find_link_out(self, path: str, folder: str) -> str:
        """Return nothing: object stores have no links."""
        return ""

    def list_names(self, folder: str) -> Iterator[str]:
        """Yield the names that one listing returns."""
        self._fs.invalidate_cache()
        try:
            items = with_retries(self._list_folder)(self.to_uri(folder), folder, detail=False)
        except FileNotFoundError:
            return
        yield from (self._to_key(PurePosixPath(item).name) for item in items)

    def list_objects(
        self,
        root: str,
        prefix: str,
        accepts: Callable[[str], object],
        on_special: Callable[[str, bool], object] = ignore_special,
        leaves_out: Callable[[str], bool] = leave_out_nothing,
    ) -> Iterator[Entry]:
        """Walk the folders below `root`, listing one at a time."""
        self._fs.invalidate_cache()
        items = with_retries(self._list_folder)(self.to_uri(root), root or self._fs.root_marker, detail=True)
        found = self._walk(items, on_special, leaves_out)
        yield from (self._to_entry(item, root) for item in found if accepts(item["name"]))

    def _walk(
        self,
        items: list[dict[str, Any]],
        on_special: Callable[[str, bool], object],
        leaves_out: Callable[[str], bool],
    ) -> Iterator[dict[str, Any]]:
        """Yield the files among the items of a folder, and below its folders, in the order of their keys."""
        for item in sorted(items, key=lambda item: self._to_key(item["name"]) + "/" * (item["type"] == "directory")):
            if item["type"] == "directory":
                try:
                    below = with_retries(self._list_folder)(self.to_uri(item["name"]), item["name"], detail=True)
                except FileNotFoundError:  # deleted since its parent was listed
                    continue
                except AccessDeniedError:
                    if leaves_out(item["name"]):
                        continue
                    raise
                yield from self._walk(below, on_special, leaves_out)
            elif item["type"] == "file":
                yield item
            else:
                on_special(item["name"], bool(item.get("islink")) or item["type"] == "link")

    def _list_folder(self, uri: str, path: str, *, detail: bool) -> list[Any]:
        """List one folder; the URI is for the messages of `with_retries`."""
        return cast(list[Any], self._fs.ls(path, detail=detail))

    def _to_key(self, path: str) -> str:
        """Return a path in the characters that keys and names have."""
        return path

    def _to_entry(self, item: dict[str, Any], root: str) -> Entry:
        etag = str(item.get("ETag", item.get("etag", ""))).strip('"')
        modified_at = item.get("LastModified", item.get("mtime", item.get("created", 0)))
        mtime = modified_at.timestamp() if isinstance(modified_at, datetime) else float(modified_at or 0)
        path = str(item["name"])
        key = self._to_key(path.removeprefix(root).lstrip("/"))
        return Entry(self.to_uri(path), key, int(item["size"] or 0), etag, mtime)
