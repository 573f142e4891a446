"""Links in tars: which file of the same tar a hard or symbolic link leads to."""

import posixpath
import tarfile
from collections.abc import Iterable

from pipeline.sources.tar_headers import TarMember

_MAX_STEPS = 40  # as on Linux
_MAX_FOLDERS = 64


class LinkResolver:
    """Follows the links among the members of a tar; of members of one name, the last one counts."""

    def __init__(self, members: Iterable[TarMember]) -> None:
        self._members = {_normalize(member.name): member for member in members}

    def find_file(self, link: TarMember) -> TarMember | None:
        """Return the file that a link leads to, through other links and linked folders.

        Returns:
            The file; None if there is none in this tar, or if the links form a circle.
        """
        member: TarMember | None = link
        for _ in range(_MAX_STEPS):
            if member is None or not member.is_link:
                return member if member is not None and member.is_file else None
            target = _normalize(member.link_name)
            if member.type == tarfile.SYMTYPE:
                target = _normalize(posixpath.join(posixpath.dirname(member.name), member.link_name))
            member = self._find(target) or self._find(target.lstrip("/"))
        return None

    def _find(self, path: str) -> TarMember | None:
        """Return the member of a path, whose folders may be symbolic links to other folders."""
        for _ in range(_MAX_STEPS):
            if path in self._members:
                return self._members[path]
            folders = path.split("/")
            if len(folders) > _MAX_FOLDERS:
                return None
            prefixes = ("/".join(folders[:end]) for end in range(1, len(folders)))
            prefix = next((each for each in prefixes if self._is_symbolic_link(each)), None)
            if prefix is None:
                return None
            target = posixpath.join(posixpath.dirname(prefix), self._members[prefix].link_name)
            path = _normalize(target + path[len(prefix) :])
        return None

    def _is_symbolic_link(self, path: str) -> bool:
        return path in self._members and self._members[path].type == tarfile.SYMTYPE


def _normalize(path: str) -> str:
    """Return a path without `.`, and without `..` where a folder precedes it."""
    return posixpath.normpath("/" + path.lstrip("/") if path.startswith("/") else path)
