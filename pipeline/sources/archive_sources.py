"""The registry of archives by the prefix of a URI: BagIt bags and others, whose rules decide which photos they hold."""

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from pipeline.config import split_source_kind
from pipeline.sources.passed_over import PassedOver
from pipeline.storage import Entry

ListPhotos: TypeAlias = Callable[[str, PassedOver, int], Iterator[Entry]]
"""Streams the photos of an archive in the order of their keys, by its URI, counting what else is there; the last
argument is the most requests at a time that list a folder."""


def _list_bags(uri: str, passed_over: PassedOver, streams: int) -> Iterator[Entry]:
    from pipeline.sources.bags import list_bags  # imported by jobs that name a bag

    return list_bags(uri, passed_over, streams)


def _list_ocfl_objects(uri: str, passed_over: PassedOver, streams: int) -> Iterator[Entry]:
    from pipeline.sources.ocfl_objects import list_ocfl_objects  # imported by jobs that name an object

    return list_ocfl_objects(uri, passed_over, streams)


_LISTINGS: dict[str, ListPhotos] = {"bagit": _list_bags, "ocfl": _list_ocfl_objects}
"""Prefix → what lists such archives."""


class ArchiveSource(NamedTuple):
    """An archive that a URI with a prefix names.

    Attributes:
        kind: the prefix, without its colon.
        uri: the URI without it.
        list_photos: lists its photos.
    """

    kind: str
    uri: str
    list_photos: ListPhotos


def find_source(uri: str) -> ArchiveSource | None:
    """Return the archive that a URI names; None if it has no prefix."""
    kind, rest = split_source_kind(uri)
    return ArchiveSource(kind, rest, _LISTINGS[kind]) if kind else None
