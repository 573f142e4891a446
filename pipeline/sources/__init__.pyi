from .archive_index import IndexEntry, read_tar_index
from .find import find_images
from .hidden_names import is_system_file
from .list_lines import format_lines
from .member_uri import (
    file_of,
    make_cell_uri,
    make_member_uri,
    parse_member_uri,
    sanitize_path,
    webdataset_key,
    webdataset_sample,
)
from .passed_over import PassedOver, describe_passed_over
from .permissions import common_permissions
from .reading import read_input, read_photo
from .sampling import HashSampler, sample_by_hash

__all__ = [
    "HashSampler",
    "IndexEntry",
    "PassedOver",
    "common_permissions",
    "describe_passed_over",
    "file_of",
    "find_images",
    "format_lines",
    "is_system_file",
    "make_cell_uri",
    "make_member_uri",
    "parse_member_uri",
    "read_input",
    "read_photo",
    "read_tar_index",
    "sample_by_hash",
    "sanitize_path",
    "webdataset_key",
    "webdataset_sample",
]
