"""Objects and listings on any fsspec store: atomic, retried and ranged."""

from pipeline.storage.filenames import escape_filename, unescape_filename
from pipeline.storage.folders import delete_folder, exists, iter_names, list_names
from pipeline.storage.listing import get_mtime, iter_files, list_objects, stat
from pipeline.storage.objects import (
    Entry,
    absolute_uri,
    create_if_absent,
    delete,
    join_uri,
    parent_uri,
    read,
    read_range,
    sha256_hex,
    supports_conditional_create,
    utc_timestamp,
    write,
)
from pipeline.storage.prefetch import prefetch_map
from pipeline.storage.ranged_file import open_ranged

__all__ = [
    "Entry",
    "absolute_uri",
    "create_if_absent",
    "delete",
    "delete_folder",
    "escape_filename",
    "exists",
    "get_mtime",
    "iter_files",
    "iter_names",
    "join_uri",
    "list_names",
    "list_objects",
    "open_ranged",
    "parent_uri",
    "prefetch_map",
    "read",
    "read_range",
    "sha256_hex",
    "stat",
    "supports_conditional_create",
    "unescape_filename",
    "utc_timestamp",
    "write",
]
