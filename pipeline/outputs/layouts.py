"""The registry of writers, by layout."""

from collections.abc import Callable

from pipeline.config import OutputLayout
from pipeline.outputs.file_writer import FileWriter
from pipeline.outputs.parquet_writer import ParquetShardWriter
from pipeline.outputs.webdataset_writer import WebDatasetWriter
from pipeline.outputs.writer import Writer

WRITERS: dict[OutputLayout, Callable[[str, int, str], Writer]] = {
    OutputLayout.FILES: lambda folder, _shard, _split_path: FileWriter(folder),
    OutputLayout.PARQUET: ParquetShardWriter,
    OutputLayout.WEBDATASET: WebDatasetWriter,
}
"""Layout → what makes its writer, from the arguments of `make_writer` after the first."""


def make_writer(layout: OutputLayout, folder: str, shard: int, split_path: str) -> Writer:
    """Return a new writer for a shard, or for a part of it.

    Args:
        layout: how the results are stored.
        folder: URI of the folder that they go to.
        shard: number of the shard.
        split_path: which half of which half of the shard, as digits 0 and 1; empty for all of it.
    """
    return WRITERS[layout](folder, shard, split_path)
