"""The types of keys that hold a URI: local paths become absolute where the job starts."""

import os
from typing import Annotated

from pydantic import AfterValidator

from pipeline.config.source_kinds import split_source_kind
from pipeline.storage import absolute_uri


def _to_absolute_uri(uri: str) -> str:
    """Make a local path absolute and expand `~`, as `absolute_uri` does, but refuse the home folder of no user."""
    if not uri.strip():
        raise ValueError("it is empty: write a path or a URI")
    if uri.startswith("~") and os.path.expanduser(uri) == uri:
        home = uri.partition("/")[0]
        raise ValueError(f"there is no home folder '{home}': write ./{uri} for a folder of that name")
    return absolute_uri(uri)


def _to_absolute_photos_uri(uri: str) -> str:
    """Make a local path absolute, after the prefix of an archive if there is one."""
    kind, rest = split_source_kind(uri)
    return f"{kind}:{_to_absolute_uri(rest)}" if kind else _to_absolute_uri(uri)


Uri = Annotated[str, AfterValidator(_to_absolute_uri)]
"""A URI. A local path is resolved where the job starts, so that jobs started in two folders never share a run."""

PhotosUri = Annotated[str, AfterValidator(_to_absolute_photos_uri)]
"""A URI of photos, which may have the prefix of an archive (`split_source_kind`)."""
