from .layouts import make_writer
from .naming import is_parquet_row_key, output_key_for
from .shard_file_writer import is_shard_file_name
from .tar_writer import TarWriter
from .writer import Writer

__all__ = [
    "TarWriter",
    "Writer",
    "is_parquet_row_key",
    "is_shard_file_name",
    "make_writer",
    "output_key_for",
]
