"""The grammar of URIs and local paths."""

import os
import re
from pathlib import Path

from pipeline.storage.filenames import escape_hashes, escape_surrogates, unescape_hashes

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PROTOCOL_ALIASES = {"s3a": "s3", "gcs": "gs"}


def absolute_uri(uri: str) -> str:
    """Return a local path as an absolute one without `file://` and `..`, other URIs with their scheme in lower case."""
    if scheme := _SCHEME.match(uri):
        uri = scheme[0].lower() + uri[scheme.end() :]
    if uri.startswith("file://"):
        uri = uri.removeprefix("file://")
    if not is_local_path(uri):
        return uri
    if uri.startswith(os.sep) and os.path.normpath(uri) == uri:  # as the URIs of plans are
        return escape_surrogates(uri)
    path = Path(os.path.expanduser(uri)).absolute()  # Path's own raises for unknown users
    if ".." in path.parts:
        path = Path(os.path.realpath(path))  # what `..` means depends on the links before it
    return escape_surrogates(str(path))


def with_usual_protocol(uri: str) -> str:
    """Return a URI with the usual name of its protocol, where a store has several."""
    protocol, separator, rest = uri.partition("://")
    return f"{_PROTOCOL_ALIASES.get(protocol, protocol)}{separator}{rest}"


def file_uri(uri: str) -> str:
    """Return the URI of a file or folder as listings have it: one that is never taken for a photo inside a file.

    Args:
        uri: the URI of a file or folder, as a listing has it or as somebody typed it.
    """
    return escape_hashes(unescape_hashes(uri))


def is_local_path(uri: str) -> bool:
    """Whether a text names a file without saying a protocol."""
    return "://" not in uri


def strip_protocol(uri: str) -> str:
    """Return a URI without its protocol: bucket or host, and path."""
    return uri if is_local_path(uri) else uri.partition("://")[2]


def join_uri(uri: str, *names: str) -> str:
    """Return the URI of something below a folder."""
    return "/".join([uri.rstrip("/"), *names])


def parent_uri(uri: str) -> str:
    """Return the URI of the folder that holds something; empty for a bucket or the root of a file system."""
    parent = uri.rstrip("/").rpartition("/")[0]
    return "" if parent.endswith((":/", ":")) else parent
