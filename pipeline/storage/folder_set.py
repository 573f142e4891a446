"""Folders by what they are, whatever paths lead to them."""

import os
from collections.abc import Iterable
from functools import lru_cache

from pipeline.storage.filenames import unescape_filename, unescape_hashes
from pipeline.storage.uris import absolute_uri, is_local_path, with_usual_protocol

_MAX_CACHED_FOLDERS = 10_000


class FolderSet:
    """Some folders, and which of them an object lies in.

    On a disk, folders are compared by device and inode, so that symbolic links, bind mounts and other spellings of a
    path make no difference. A folder that does not exist yet is known by its path.
    """

    def __init__(self, folders: Iterable[str]) -> None:
        """Look at the folders as they are now.

        Args:
            folders: their URIs.
        """
        self._prefixes, self._identities = dict[str, str](), dict[tuple[int, int], str]()
        for folder in folders:
            uri = with_usual_protocol(absolute_uri(folder)).rstrip("/") + "/"
            self._prefixes[uri] = folder
            if is_local_path(uri):
                path = os.path.realpath(unescape_filename(unescape_hashes(uri)))
                self._prefixes[path.rstrip("/") + "/"] = folder
                if (identity := _identify(path)) is not None:
                    self._identities[identity] = folder
        self._find_local = lru_cache(_MAX_CACHED_FOLDERS)(self._search_ancestors)

    def find_folder_of(self, uri: str) -> str:
        """Return the folder that holds an object, as it was given; empty if none does.

        Args:
            uri: URI of the object; a symbolic link counts as the file that it points to.
        """
        if not is_local_path(uri):
            uri = with_usual_protocol(uri)
            return next((folder for prefix, folder in self._prefixes.items() if uri.startswith(prefix)), "")
        path = unescape_filename(unescape_hashes(uri))
        if os.path.islink(path):
            path = os.path.realpath(path)
        return self._find_local(os.path.dirname(path))

    def _search_ancestors(self, folder: str) -> str:
        """Return the given folder that is a local folder, or one of its ancestors."""
        path = os.path.realpath(folder)
        for prefix, found in self._prefixes.items():
            if f"{path.rstrip('/')}/".startswith(prefix):
                return found
        while True:
            if (identity := _identify(path)) in self._identities and identity is not None:
                return self._identities[identity]
            parent = os.path.dirname(path)
            if parent == path:
                return ""
            path = parent


def _identify(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
