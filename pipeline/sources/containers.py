"""The registry of containers, by the suffix of their names."""

from pipeline.sources.archives import TarArchive, ZipArchive
from pipeline.sources.container import Container
from pipeline.sources.parquet_column import ParquetColumn
from pipeline.sources.photo_list import PhotoList

CONTAINERS: dict[str, Container] = {
    "parquet": ParquetColumn(),
    "tar": TarArchive(),
    "txt": PhotoList(),
    "zip": ZipArchive(),
}
"""Suffix in lower case, without its dot → the container. URIs of members are in `member_uri`."""
