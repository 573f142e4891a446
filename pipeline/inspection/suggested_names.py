"""Names that a job file gets from the URI of its input: the job's own, and that of the output folder."""

import re

from pipeline.config import is_http_url
from pipeline.imageio import has_image_extension
from pipeline.storage import absolute_uri, is_local_path, join_uri, parent_uri

_GLOB = re.compile(r"[*?\[]")
_COLUMN = re.compile(r"(?<=\.parquet)#[^/#]+$", re.IGNORECASE)
_CONTAINER = re.compile(r"\.(tar|zip|parquet|txt)$", re.IGNORECASE)
_UNSAFE = re.compile(r"[^\w.-]+")
_SUFFIX = "-enhanced"
_UNNAMED = "photos"


def suggest_name(uri: str) -> str:
    """Return a name for the job of an input, which can be part of a file name.

    Example:
        >>> suggest_name("s3://archive/box 3/scans.tar"), suggest_name("scans/*.tif"), suggest_name("s3://archive")
        ('scans', 'scans', 'archive')
    """
    stem = _without_extension(_base_folder(absolute_uri(uri))).rstrip("/").rpartition("/")[2]
    return _UNSAFE.sub("-", stem).strip("-.") or _UNNAMED


def suggest_output(uri: str) -> str:
    """Return an output folder beside an input; inside it for an entire bucket, in the current folder for a web server.

    Example:
        >>> suggest_output("s3://archive/scans/"), suggest_output("s3://archive/2024/*/a.tar")
        ('s3://archive/scans-enhanced', 's3://archive/2024-enhanced')
        >>> suggest_output("s3://archive")
        's3://archive/archive-enhanced'
    """
    name = suggest_name(uri) + _SUFFIX
    if is_http_url(uri):
        return absolute_uri(name)
    base = _base_folder(absolute_uri(uri)).rstrip("/")
    parent = parent_uri(base)
    if parent or (is_local_path(base) and base):
        return join_uri(parent, name)
    return join_uri(base, name)


def _base_folder(uri: str) -> str:
    """Return the folder before the first part of a URI that is a pattern, without a Parquet column."""
    uri = _COLUMN.sub("", uri)
    match = _GLOB.search(uri)
    return uri if match is None else uri[: match.start()].rpartition("/")[0]


def _without_extension(uri: str) -> str:
    """Return a URI without the extension of a container, a list or a photo."""
    return uri.rpartition(".")[0] if has_image_extension(uri) else _CONTAINER.sub("", uri)
