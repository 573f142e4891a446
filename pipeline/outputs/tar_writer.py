"""Tar files as WebDataset reads them, written in memory; the same files give the same bytes."""

import io
import tarfile

from pipeline.storage import unescape_filename


class TarWriter:
    """A tar that grows in memory.

    Headers are of the PAX format, so names may be of any length and in any script. Times and owners stay zero.
    """

    def __init__(self) -> None:
        self._file = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._file, mode="w:", format=tarfile.PAX_FORMAT)  # noqa: SIM115 — see close

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._file.tell()

    def add(self, name: str, data: bytes) -> int:
        """Add a file, and return where its bytes start in the tar."""
        member = tarfile.TarInfo(unescape_filename(name))
        member.size = len(data)
        self._tar.addfile(member, io.BytesIO(data))
        return self._file.tell() - len(data) - -len(data) % tarfile.BLOCKSIZE

    def close(self) -> bytes:
        """Complete the tar, and return its bytes."""
        self._tar.close()
        return self._file.getvalue()
