"""Where, in which container and under which name a result is written."""

from pipeline.outputs.naming import is_parquet_row_key, output_key_for
from pipeline.outputs.tar_writer import TarWriter
from pipeline.outputs.writers import Writer, make_writer, parse_shard_number

__all__ = [
    "TarWriter",
    "Writer",
    "is_parquet_row_key",
    "make_writer",
    "output_key_for",
    "parse_shard_number",
]
