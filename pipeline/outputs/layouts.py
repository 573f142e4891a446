"""The registry of writers, by layout."""

from collections.abc import Callable

from pipeline.config import OutputLayout
from pipeline.imageio import MetadataPolicy
from pipeline.outputs.file_writer import FileWriter
from pipeline.outputs.parquet_writer import ParquetShardWriter
from pipeline.outputs.webdataset_writer import WebDatasetWriter
from pipeline.outputs.writer import Writer

WRITERS: dict[OutputLayout, Callable[[str, int, str, MetadataPolicy], Writer]] = {
    OutputLayout.FILES: lambda folder, *_: FileWriter(folder),
    OutputLayout.PARQUET: lambda folder, shard, split_path, _: ParquetShardWriter(folder, shard, split_path),
    OutputLayout.WEBDATASET: WebDatasetWriter,
}
"""Layout → what makes its writer, from the arguments of `make_writer` after the first."""


def make_writer(
    layout: OutputLayout, folder: str, shard: int, split_path: str, metadata: MetadataPolicy = MetadataPolicy.KEEP
) -> Writer:
    """Return a new writer for a shard, or for a part of it.

    Args:
        layout: how the results are stored.
        folder: URI of the folder that they go to.
        shard: number of the shard.
        split_path: which half of which half of the shard, as digits 0 and 1; empty for all of it.
        metadata: what the results keep; it decides what the files keep that a layout copies with the photos.
    """
    return WRITERS[layout](folder, shard, split_path, metadata)
