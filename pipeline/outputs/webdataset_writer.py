"""The layout `webdataset`: one tar a shard, in the samples of the tars that the photos came from."""

from collections.abc import Sequence
from typing import Any

from pipeline.imageio import MetadataPolicy
from pipeline.outputs.shard_file_writer import Result, ShardFileWriter
from pipeline.outputs.tar_writer import TarWriter
from pipeline.outputs.webdataset_samples import check_sidecars, group_by_key, iter_tar_files
from pipeline.sources import make_member_uri
from pipeline.storage import write


class WebDatasetWriter(ShardFileWriter):
    """Writes a tar as WebDataset reads it; what belonged to a photo in its own tar goes along."""

    suffix = ".tar"

    def __init__(self, folder: str, name: str, metadata: MetadataPolicy = MetadataPolicy.KEEP) -> None:
        """Name the file after an attempt; unless `metadata` is `keep`, what goes along loses coordinates."""
        super().__init__(folder, name)
        self._metadata = metadata

    def add(self, row: dict[str, Any], key: str, data: bytes) -> None:
        """Hold a result until the file is written.

        Raises:
            ImageError: what belongs to the photo in its own tar is too large to go along.
        """
        check_sidecars(row["input_uri"])
        super().add(row, key, data)

    def _write(self, uri: str, results: Sequence[Result]) -> None:
        entries, tar = group_by_key(results), TarWriter()
        offsets = {name: tar.add(name, content) for name, content in iter_tar_files(entries, self._metadata)}
        write(uri, tar.close(), self._permissions(results))
        for entry in entries:
            entry.row["output_uri"] = make_member_uri(uri, offsets[entry.name], len(entry.data), entry.name)
