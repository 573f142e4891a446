"""The registry of writers, by layout."""

from collections.abc import Callable

from pipeline.config import OutputLayout
from pipeline.imageio import MetadataPolicy
from pipeline.outputs.file_writer import FileWriter
from pipeline.outputs.parquet_writer import ParquetShardWriter
from pipeline.outputs.webdataset_writer import WebDatasetWriter
from pipeline.outputs.writer import Writer

WRITERS: dict[OutputLayout, Callable[[str, str, MetadataPolicy], Writer]] = {
    OutputLayout.FILES: lambda folder, *_: FileWriter(folder),
    OutputLayout.PARQUET: lambda folder, name, _: ParquetShardWriter(folder, name),
    OutputLayout.WEBDATASET: WebDatasetWriter,
}
"""Layout → what makes its writer, from the arguments of `make_writer` after the first."""


def make_writer(layout: OutputLayout, folder: str, name: str, metadata: MetadataPolicy = MetadataPolicy.KEEP) -> Writer:
    """Return a new writer for one attempt at a shard, or at a part of it.

    Args:
        layout: how the results are stored.
        folder: URI of the folder that they go to.
        name: name of the attempt, which a file of all its results gets; no other attempt has it.
        metadata: what the results keep; it decides what the files keep that a layout copies with the photos.
    """
    return WRITERS[layout](folder, name, metadata)
