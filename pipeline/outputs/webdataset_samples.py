"""Grouping results into the samples of WebDataset: files whose names are equal up to the first dot."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ErrorCode, ImageError
from pipeline.imageio import MetadataPolicy, has_image_extension, strip_sidecar_location
from pipeline.outputs.shard_file_writer import Result
from pipeline.sources import (
    IndexEntry,
    make_member_uri,
    parse_member_uri,
    read_photo,
    read_tar_index,
    sanitize_path,
    webdataset_key,
    webdataset_sample,
)

MAX_SIDECAR_BYTES = 256 * 2**20
"""The most bytes of a file that goes along with a photo from tar to tar."""


@dataclass(frozen=True)
class TarEntry:
    """A result in a tar.

    Attributes:
        row: manifest row of the photo.
        source_tar: URI of the tar that the photo came from; empty if it came from elsewhere.
        source_name: its name in that tar.
        sample_key: key of its sample in the new tar.
        suffix: what follows the key in its new name.
        data: the encoded result.
    """

    row: dict[str, Any]
    source_tar: str
    source_name: str
    sample_key: str
    suffix: str
    data: bytes

    @property
    def name(self) -> str:
        """Name of the file in the new tar."""
        return self.sample_key + self.suffix


def group_by_key(results: Sequence[Result]) -> list[TarEntry]:
    """Return results in the order of their samples, with names that are unique in the new tar.

    Photos from tars keep the keys of their samples; others get their names, with dots as underscores, for keys.
    """
    keys: dict[tuple[str, str], str] = {}
    entries: dict[str, TarEntry] = {}
    for row, name, data in results:
        tar, source_name = _tar_origin(row["input_uri"])
        wanted_key = sanitize_path(webdataset_key(source_name)) or _key_from_path(row["file_name"])
        suffix = "." + name.rpartition(".")[2]
        if source_name:
            suffix = _output_suffix(tar, source_name, "" if name == row["file_name"] else suffix)
        sample_key = keys.get((tar, wanted_key))
        if sample_key is None or sample_key + suffix in entries:
            sample_key = keys[tar, wanted_key] = _unique_key(wanted_key, keys.values())
        entries[sample_key + suffix] = TarEntry(row, tar, source_name, sample_key, suffix, data)
    order = {key: index for index, key in enumerate(dict.fromkeys(entry.sample_key for entry in entries.values()))}
    return sorted(entries.values(), key=lambda entry: order[entry.sample_key])


def check_sidecars(uri: str) -> None:
    """Check that what belongs to a photo in its own tar can be held in memory.

    Raises:
        ImageError: a file of its sample is larger than `MAX_SIDECAR_BYTES`.
    """
    tar, name = _tar_origin(uri)
    for sidecar in _iter_sidecar_members(tar, name):
        if sidecar.size > MAX_SIDECAR_BYTES:
            raise ImageError(
                ErrorCode.TOO_LARGE,
                f"{sidecar.name}, which belongs to it in its tar, has {sidecar.size} bytes, and at most "
                f"{MAX_SIDECAR_BYTES} are copied: take it out of the tar, or set output.layout: files",
            )


def iter_tar_files(entries: Sequence[TarEntry], metadata: MetadataPolicy) -> Iterator[tuple[str, bytes]]:
    """Yield the names and contents of the new tar's files: every result, followed by its sample's other files.

    Args:
        entries: the results.
        metadata: unless it is `keep`, the other files lose coordinates.
    """
    written = set()
    for entry in entries:
        yield entry.name, entry.data
        for rest, content in _iter_sidecars(entry):
            if entry.sample_key + rest not in written:
                written.add(entry.sample_key + rest)
                kept = content if metadata is MetadataPolicy.KEEP else strip_sidecar_location(rest, content)
                if kept is not None:
                    yield entry.sample_key + rest, kept


def _tar_origin(uri: str) -> tuple[str, str]:
    """Return the tar that a photo came from and its name there; empty if it came from elsewhere or has no key."""
    member = parse_member_uri(uri)
    return (member.container, member.name) if member is not None and webdataset_sample(uri) else ("", "")


def _key_from_path(name: str) -> str:
    """Return a key for a photo that does not come from a tar."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + (last.rpartition(".")[0] or last).replace(".", "_")


def _unique_key(wanted: str, taken: Collection[str]) -> str:
    candidate, number = wanted, 1
    while candidate in taken:
        number += 1
        candidate = f"{wanted}-{number}"
    return candidate


def _output_suffix(tar: str, name: str, new_extension: str) -> str:
    """Return what follows the key in a member's name, with its extension replaced by a new one if that is not empty.

    If the tar holds a photo whose name differs in nothing but the extension, the new one is appended instead.
    """
    suffix = name[len(webdataset_key(name)) :]
    if not new_extension:
        return suffix
    stem = name.rpartition(".")[0]
    siblings = [each for each, *_ in read_tar_index(tar) if each.rpartition(".")[0] == stem and each != name]
    if not any(map(has_image_extension, siblings)):
        suffix = suffix.rpartition(".")[0]
    return suffix + new_extension


def _iter_sidecars(entry: TarEntry) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a photo's sample in its own tar that are not photos: their names after the key, contents."""
    key = webdataset_key(entry.source_name)
    for name, start, size, by_headers in _iter_sidecar_members(entry.source_tar, entry.source_name):
        yield (
            name[len(key) :],
            read_photo(make_member_uri(entry.source_tar, start, size, name, by_headers=by_headers), MAX_SIDECAR_BYTES),
        )


def _iter_sidecar_members(tar: str, source_name: str) -> Iterator[IndexEntry]:
    """Yield the files of a photo's sample in its own tar that are not photos."""
    key = webdataset_key(source_name)
    for member in read_tar_index(tar) if tar else ():
        if webdataset_key(member.name) == key and not has_image_extension(member.name):
            yield member
