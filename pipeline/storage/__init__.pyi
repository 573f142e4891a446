from .advice import node_name, set_access_advice
from .filenames import (
    escape_filename,
    escape_hashes,
    has_unstorable_characters,
    unescape_filename,
    unescape_hashes,
)
from .folder_set import FolderSet
from .folders import delete_folder, exists, iter_etags, iter_names, list_names, sync_folder
from .listing import iter_files, list_objects
from .objects import (
    create_if_absent,
    delete,
    find_link_out,
    get_mtime,
    get_permissions,
    is_case_insensitive,
    read,
    read_range,
    sha256_hex,
    stat,
    storage_clock,
    supports_conditional_create,
    utc_timestamp,
    write,
    write_file,
    write_unsynced,
)
from .polite_requests import UnansweredError, read_politely, stat_politely
from .prefetch import prefetch_map
from .ranged_file import open_ranged
from .request_pace import RequestPace
from .resolve import check_not_chained
from .servers import server_of
from .store import Entry
from .temporary_names import is_temporary_name, temporary_path
from .uris import (
    absolute_uri,
    file_uri,
    is_local_path,
    join_uri,
    parent_uri,
    strip_protocol,
    with_usual_protocol,
)

__all__ = [
    "Entry",
    "FolderSet",
    "RequestPace",
    "UnansweredError",
    "absolute_uri",
    "check_not_chained",
    "create_if_absent",
    "delete",
    "delete_folder",
    "escape_filename",
    "escape_hashes",
    "exists",
    "file_uri",
    "find_link_out",
    "get_mtime",
    "get_permissions",
    "has_unstorable_characters",
    "is_case_insensitive",
    "is_local_path",
    "is_temporary_name",
    "iter_etags",
    "iter_files",
    "iter_names",
    "join_uri",
    "list_names",
    "list_objects",
    "node_name",
    "open_ranged",
    "parent_uri",
    "prefetch_map",
    "read",
    "read_politely",
    "read_range",
    "server_of",
    "set_access_advice",
    "sha256_hex",
    "stat",
    "stat_politely",
    "storage_clock",
    "strip_protocol",
    "supports_conditional_create",
    "sync_folder",
    "temporary_path",
    "unescape_filename",
    "unescape_hashes",
    "utc_timestamp",
    "with_usual_protocol",
    "write",
    "write_file",
    "write_unsynced",
]
