"""Samples of tar shards as WebDataset has them: files of the same name up to the first dot belong together."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.imageio.extensions import has_image_suffix
from pipeline.sources.discovery import tar_index
from pipeline.sources.members import clean, key_of, member_of, sample_of
from pipeline.storage.objects import read_range


@dataclass(frozen=True)
class Result:
    """A result in a tar.

    Attributes:
        row: of the manifest.
        tar: URI of the tar that it came from; empty if it came from none.
        source: the name that it has there.
        stem: the key of its sample.
        suffix: behind the key.
        data: its bytes.
    """

    row: dict[str, Any]
    tar: str
    source: str
    stem: str
    suffix: str
    data: bytes

    @property
    def name(self) -> str:
        """Of its file."""
        return self.stem + self.suffix


def in_samples(done: Sequence[tuple[dict[str, Any], str, bytes]]) -> list[Result]:
    """Results by samples: those of their tar, elsewhere their names with dots as underscores; each name once.

    Args:
        done: rows, names of the results, and their bytes.
    """
    stems: dict[tuple[str, str], str] = {}
    found: dict[str, Result] = {}
    for row, name, data in done:
        tar, source = _origin(row["source_uri"])
        wanted = clean(key_of(source)) or _plain(row["file_name"])
        suffix = "." + name.rpartition(".")[2]
        if source:
            suffix = _suffix(tar, source, "" if name == row["file_name"] else suffix)
        stem = stems.get((tar, wanted))
        if stem is None or stem + suffix in found:
            stem = stems[tar, wanted] = _free(wanted, stems.values())
        found[stem + suffix] = Result(row, tar, source, stem, suffix, data)
    places = {stem: place for place, stem in enumerate(dict.fromkeys(result.stem for result in found.values()))}
    return sorted(found.values(), key=lambda result: places[result.stem])


def files(results: Sequence[Result]) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files of a tar: every result, and behind it what belongs to it."""
    written = set()
    for result in results:
        yield result.name, result.data
        for rest, content in _sidecars(result):
            if result.stem + rest not in written:
                written.add(result.stem + rest)
                yield result.stem + rest, content


def _origin(uri: str) -> tuple[str, str]:
    """The tar that a photo came from and its name there; empty where it came from none, or has no key."""
    member = member_of(uri)
    return (member.container, member.name) if member is not None and sample_of(uri) else ("", "")


def _plain(name: str) -> str:
    """A key for a photo that comes from no tar."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + (last.rpartition(".")[0] or last).replace(".", "_")


def _free(wanted: str, taken: Collection[str]) -> str:
    stem, number = wanted, 1
    while stem in taken:
        number += 1
        stem = f"{wanted}-{number}"
    return stem


def _suffix(tar: str, name: str, other: str) -> str:
    """All that is behind the key in a member's name, with another last suffix if one is given.

    Where the name of another photo differs in nothing but the last one, the other is put behind.
    """
    own = name[len(key_of(name)) :]
    if not other:
        return own
    bare = name.rpartition(".")[0]
    twins = [each for each, *_ in tar_index(tar) if each.rpartition(".")[0] == bare and each != name]
    if not any(map(has_image_suffix, twins)):
        own = own.rpartition(".")[0]
    return own + other


def _sidecars(result: Result) -> Iterator[tuple[str, bytes]]:
    """The files that are no photos of a sample that came from a tar: their names behind its key, and contents."""
    key = key_of(result.source)
    for name, start, size in tar_index(result.tar) if result.tar else ():
        if key_of(name) == key and not has_image_suffix(name):
            yield name[len(key) :], read_range(result.tar, start, start + size)
