"""Which photos a URI names, in folders, tar shards, ZIP files, Parquet columns and lists, and reading one."""

from pipeline.sources.archive_index import IndexEntry, read_tar_index
from pipeline.sources.find import find_images
from pipeline.sources.hidden_names import is_system_file
from pipeline.sources.list_lines import format_lines
from pipeline.sources.member_uri import (
    file_of,
    make_cell_uri,
    make_member_uri,
    parse_member_uri,
    sanitize_path,
    webdataset_key,
    webdataset_sample,
)
from pipeline.sources.passed_over import PassedOver, describe_passed_over
from pipeline.sources.permissions import common_permissions
from pipeline.sources.reading import read_input, read_photo
from pipeline.sources.sampling import HashSampler, sample_by_hash

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
