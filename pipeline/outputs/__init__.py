"""Where, in which layout, and under which name a result is written."""

from pipeline.outputs.layouts import make_writer
from pipeline.outputs.naming import is_parquet_row_key, output_key_for
from pipeline.outputs.shard_file_writer import is_shard_file_name
from pipeline.outputs.tar_writer import TarWriter
from pipeline.outputs.writer import Writer

__all__ = [
    "TarWriter",
    "Writer",
    "is_parquet_row_key",
    "is_shard_file_name",
    "make_writer",
    "output_key_for",
]
