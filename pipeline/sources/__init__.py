"""Sources: where photos live besides folders: tar shards, ZIP files, Parquet columns and lists."""

from pipeline.sources.discovery import discover_images, read_tar_index
from pipeline.sources.fetch import read_input
from pipeline.sources.members import (
    make_member_uri,
    parse_member_uri,
    read_photo,
    sanitize_path,
    webdataset_key,
    webdataset_sample,
)
from pipeline.sources.sampling import HashSampler, sample_by_hash

__all__ = [
    "HashSampler",
    "discover_images",
    "find_images",
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

from pipeline.sources.find import find_images
