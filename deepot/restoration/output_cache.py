"""A folder with the outputs of a restorer, by a hash of their inputs, so that no photo is restored twice."""

import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

CACHE_ENV = "DEEPOT_CACHE"
_WRITES_BETWEEN_TRIMS = 64


def default_cache_folder() -> Path:
    """Return the folder that `DEEPOT_CACHE` names, or `deepot` in the user's cache folder (`XDG_CACHE_HOME`)."""
    if folder := os.environ.get(CACHE_ENV):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deepot"


@dataclass
class OutputCache:
    """Files up to a total size, least recently used ones deleted first; several processes may share it.

    Errors of the disk, such as no space, leave a file out and stop nothing.

    Attributes:
        folder: where the files are.
        max_bytes: the most that they may take, apart from what was written since they were last counted; 0: none.
    """

    folder: Path
    max_bytes: int
    _n_writes: int = 0

    def get(self, key: str) -> bytes | None:
        """Return what was stored under a key, a text of hexadecimal digits; None if it is not there."""
        path = self._path(key)
        with suppress(OSError):
            data = path.read_bytes()
            os.utime(path)  # it is the most recently used one now
            return data
        return None

    def put(self, key: str, data: bytes) -> None:
        """Store data under a key, completely or not at all."""
        if len(data) > self.max_bytes:
            return
        path = self._path(key)
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
                try:
                    file.write(data)
                    file.close()
                    os.replace(file.name, path)
                except BaseException:
                    os.unlink(file.name)
                    raise
        if self._n_writes % _WRITES_BETWEEN_TRIMS == 0:
            self._trim()
        self._n_writes += 1

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key

    def _trim(self) -> None:
        """Delete the least recently used files until the others take at most nine tenths of what they may."""
        files = []
        for path in self.folder.glob("*/*"):
            with suppress(OSError):
                status = path.stat()
                files.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in files)
        if total <= self.max_bytes:
            return
        for _, size, path in sorted(files):
            if total <= 0.9 * self.max_bytes:
                return
            with suppress(OSError):
                path.unlink()
                total -= size
