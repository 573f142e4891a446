"""An S3 bucket in memory whose requests fail, come late, happen twice or lose their answers."""

import hashlib
import io
from concurrent.futures import Executor, Future
from datetime import UTC, datetime
from enum import StrEnum

from pipeline.storage.s3_pages import S3Object, S3Page

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
"""When all objects were changed, so that every orphan is old enough to be removed."""


class Fate(StrEnum):
    """What becomes of a request."""

    DONE = "done"
    REFUSED = "an error, and nothing happened"
    LOST = "it happened, and an error says that it did not"
    LATE = "an error, and it happens at some later time"
    TWICE = "it happens now and once more at some later time"
    CRASH_BEFORE = "the driver dies, and nothing happened"
    CRASH_AFTER = "it happened, and the driver dies"


class Crash(BaseException):
    """A driver is killed by SIGKILL."""


class FaultyBucket:
    """As much of an S3 file system as deepot's storage calls; `ask` decides the fate of each request."""

    protocol, req_kw = ("s3", "s3a"), {}

    def __init__(self, has_etags=True):
        self.objects, self.late, self.ask, self.has_etags = {}, [], lambda: Fate.DONE, has_etags

    def _request(self, act, write=False):
        fate = self.ask()
        if fate is Fate.CRASH_BEFORE:
            raise Crash
        if fate is Fate.REFUSED or (fate in (Fate.LATE, Fate.LOST) and not write):
            raise ConnectionResetError("before it was done")
        if fate is Fate.LATE:
            self.late.append(act)
            raise TimeoutError("no answer")
        result = act()
        if fate is Fate.TWICE and write:
            self.late.append(act)
        if fate is Fate.CRASH_AFTER:
            raise Crash
        if fate is Fate.LOST:
            raise ConnectionResetError("after it was done")
        return result

    def pipe_file(self, path, data, mode="overwrite"):
        def act():
            if mode == "create" and path in self.objects:
                raise FileExistsError(path)
            self.objects[path] = bytes(data)

        self._request(act, write=True)

    def rm_file(self, path):
        self._request(lambda: self.objects.pop(path, None), write=True)

    def cat_file(self, path, start=None, end=None, **_):
        def act():
            if path not in self.objects:
                raise FileNotFoundError(path)
            return self.objects[path][start:end]

        return self._request(act)

    def exists(self, path):
        return self._request(lambda: path in self.objects)

    def open(self, path, mode, **_):
        return io.BytesIO(self.cat_file(path))

    def info(self, path):
        def act():
            if path in self.objects:
                return {
                    "type": "file",
                    "name": path,
                    "size": len(self.objects[path]),
                    "LastModified": self.modified(path),
                }
            if not any(key.startswith(path + "/") for key in self.objects):
                raise FileNotFoundError(path)
            return {"type": "directory", "name": path, "size": 0}

        return self._request(act)

    def list_page(self, parameters):
        """All objects below a prefix, as one page; takes the place of `s3_pages.fetch_page`."""

        def act():
            prefix, has_delimiter = parameters["Prefix"], "Delimiter" in parameters
            above = f"{parameters['Bucket']}/{prefix}"
            keys = sorted(key.removeprefix(above) for key in self.objects if key.startswith(above))
            folders = {f"{prefix}{key.partition('/')[0]}/" for key in keys if has_delimiter and "/" in key}
            objects = [self._describe(above, prefix, key) for key in keys if not has_delimiter or "/" not in key]
            return S3Page(objects, sorted(folders), "")

        return self._request(act)

    def _describe(self, prefix, key_prefix, key):
        data = self.objects[prefix + key]
        etag = hashlib.md5(data, usedforsecurity=False).hexdigest() if self.has_etags else ""
        return S3Object(key_prefix + key, len(data), etag, self.modified(prefix + key).timestamp())

    def modified(self, path):
        return LONG_AGO

    def split_path(self, path):
        return (*path.split("/", 1), None)

    def unstrip_protocol(self, path):
        return f"s3://{path}"

    def invalidate_cache(self):
        pass


class InlineExecutor(Executor):
    """An executor that calls a function at once, in the thread that submits it."""

    def __init__(self, *_):
        pass

    def submit(self, function, *arguments):
        future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future
