"""The layout `webdataset`: one tar a shard, in the samples of the tars that the photos came from."""

from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.imageio import MetadataPolicy
from pipeline.outputs.naming import CREDENTIALS_SUFFIX
from pipeline.outputs.shard_file_writer import Result, ShardFileWriter
from pipeline.outputs.tar_writer import TarWriter
from pipeline.outputs.webdataset_samples import TarEntry, check_sidecars, group_by_key, iter_tar_files
from pipeline.sources import make_member_uri
from pipeline.storage import write


class WebDatasetWriter(ShardFileWriter):
    """Writes a tar as WebDataset reads it; what belonged to a photo in its own tar goes along."""

    suffix = ".tar"

    def __init__(self, folder: str, name: str, metadata: MetadataPolicy = MetadataPolicy.KEEP) -> None:
        """Name the file after an attempt; unless `metadata` is `keep`, what goes along loses coordinates."""
        super().__init__(folder, name)
        self._metadata = metadata
        self._credentials: dict[int, bytes] = {}

    def add(self, row: dict[str, Any], key: str, data: bytes) -> None:
        """Hold a result until the file is written.

        Raises:
            ImageError: what belongs to the photo in its own tar is too large to go along.
        """
        check_sidecars(row["input_uri"])
        super().add(row, key, data)

    def add_credentials(self, row: dict[str, Any], key: str, data: bytes) -> str:
        """Hold content credentials, which become a file of the result's sample; the name is set when it is written."""
        self._credentials[id(row)] = data
        return key + CREDENTIALS_SUFFIX

    def _write(self, uri: str, results: Sequence[Result]) -> None:
        entries, tar = group_by_key(results), TarWriter()
        offsets = {name: tar.add(name, content) for name, content in self._iter_files(entries)}
        write(uri, tar.close(), self._permissions(results))
        for entry in entries:
            entry.row["output_uri"] = make_member_uri(uri, offsets[entry.name], len(entry.data), entry.name)
            if id(entry.row) in self._credentials:
                entry.row["credentials"] = entry.name + CREDENTIALS_SUFFIX

    def _iter_files(self, entries: Sequence[TarEntry]) -> Iterator[tuple[str, bytes]]:
        """Yield the names and contents of the tar's files, each result with the credentials of its input."""
        credentials = {
            entry.name + CREDENTIALS_SUFFIX: self._credentials[id(entry.row)]
            for entry in entries
            if id(entry.row) in self._credentials
        }
        names = {entry.name for entry in entries}
        for name, content in iter_tar_files(entries, self._metadata):
            if name not in credentials:  # a file of that name in the input's sample
                yield name, content
            if name in names and (own := name + CREDENTIALS_SUFFIX) in credentials:
                yield own, credentials[own]
