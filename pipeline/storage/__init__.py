"""Objects and listings on any fsspec store: atomic, retried and ranged."""

from pipeline.storage.filenames import escape_filename, has_unstorable_characters, unescape_filename
from pipeline.storage.folders import delete_folder, exists, iter_names, list_names
from pipeline.storage.listing import iter_files, list_objects
from pipeline.storage.objects import (
    create_if_absent,
    delete,
    get_mtime,
    is_case_insensitive,
    read,
    read_range,
    sha256_hex,
    stat,
    storage_clock,
    supports_conditional_create,
    utc_timestamp,
    write,
)
from pipeline.storage.prefetch import prefetch_map
from pipeline.storage.ranged_file import open_ranged
from pipeline.storage.store import Entry
from pipeline.storage.temporary_names import is_temporary_name
from pipeline.storage.uris import absolute_uri, is_local_path, join_uri, parent_uri, strip_protocol

__all__ = [
    "Entry",
    "absolute_uri",
    "create_if_absent",
    "delete",
    "delete_folder",
    "escape_filename",
    "exists",
    "get_mtime",
    "has_unstorable_characters",
    "is_case_insensitive",
    "is_local_path",
    "is_temporary_name",
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
    "storage_clock",
    "strip_protocol",
    "supports_conditional_create",
    "unescape_filename",
    "utc_timestamp",
    "write",
]
