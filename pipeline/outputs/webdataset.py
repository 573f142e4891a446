"""Samples of tar shards as WebDatasetWriter has them: files of the same name up to the first dot belong together."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.imageio import has_image_extension
from pipeline.sources import parse_member_uri, read_tar_index, sanitize_path, webdataset_key, webdataset_sample
from pipeline.storage import read_range


@dataclass(frozen=True)
class TarEntry:
    """A result in a tar.

    Attributes:
        row: of the manifest.
        source_tar: URI of the tar that it came from; empty if it came from none.
        source_name: the name that it has there.
        sample_key: the key of its sample.
        suffix: behind the key.
        data: its bytes.
    """

    row: dict[str, Any]
    source_tar: str
    source_name: str
    sample_key: str
    suffix: str
    data: bytes

    @property
    def name(self) -> str:
        """Of its file."""
        return self.sample_key + self.suffix


def group_by_key(items: Sequence[tuple[dict[str, Any], str, bytes]]) -> list[TarEntry]:
    """Results by samples: those of their tar, elsewhere their names with dots as underscores; each name once.

    Args:
        items: rows, names of the results, and their bytes.
    """
    keys: dict[tuple[str, str], str] = {}
    entries: dict[str, TarEntry] = {}
    for row, name, data in items:
        tar, source = _tar_origin(row["input_uri"])
        wanted_key = sanitize_path(webdataset_key(source)) or _key_from_path(row["file_name"])
        suffix = "." + name.rpartition(".")[2]
        if source:
            suffix = _output_suffix(tar, source, "" if name == row["file_name"] else suffix)
        sample_key = keys.get((tar, wanted_key))
        if sample_key is None or sample_key + suffix in entries:
            sample_key = keys[tar, wanted_key] = _unique_key(wanted_key, keys.values())
        entries[sample_key + suffix] = TarEntry(row, tar, source, sample_key, suffix, data)
    order = {stem: place for place, stem in enumerate(dict.fromkeys(result.sample_key for result in entries.values()))}
    return sorted(entries.values(), key=lambda result: order[result.sample_key])


def iter_tar_files(results: Sequence[TarEntry]) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files of a tar: every result, and behind it what belongs to it."""
    written = set()
    for result in results:
        yield result.name, result.data
        for rest, content in _iter_sidecars(result):
            if result.sample_key + rest not in written:
                written.add(result.sample_key + rest)
                yield result.sample_key + rest, content


def _tar_origin(uri: str) -> tuple[str, str]:
    """The tar that a photo came from and its name there; empty where it came from none, or has no key."""
    member = parse_member_uri(uri)
    return (member.container, member.name) if member is not None and webdataset_sample(uri) else ("", "")


def _key_from_path(name: str) -> str:
    """A key for a photo that comes from no tar."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + (last.rpartition(".")[0] or last).replace(".", "_")


def _unique_key(wanted: str, taken: Collection[str]) -> str:
    candidate, number = wanted, 1
    while candidate in taken:
        number += 1
        candidate = f"{wanted}-{number}"
    return candidate


def _output_suffix(tar: str, name: str, new_suffix: str) -> str:
    """All that is behind the key in a member's name, with another last suffix if one is given.

    Where the name of another photo differs in nothing but the last one, the other is put behind.
    """
    suffix = name[len(webdataset_key(name)) :]
    if not new_suffix:
        return suffix
    stem = name.rpartition(".")[0]
    siblings = [each for each, *_ in read_tar_index(tar) if each.rpartition(".")[0] == stem and each != name]
    if not any(map(has_image_extension, siblings)):
        suffix = suffix.rpartition(".")[0]
    return suffix + new_suffix


def _iter_sidecars(result: TarEntry) -> Iterator[tuple[str, bytes]]:
    """The files that are no photos of a sample that came from a tar: their names behind its key, and contents."""
    key = webdataset_key(result.source_name)
    for name, start, size in read_tar_index(result.source_tar) if result.source_tar else ():
        if webdataset_key(name) == key and not has_image_extension(name):
            yield name[len(key) :], read_range(result.source_tar, start, start + size)
