"""The registry of archives by the prefix of a URI, whose rules decide which photos they hold."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from pipeline.config import Limits, split_source_kind
from pipeline.sources.passed_over import PassedOver
from pipeline.storage import Entry


class ListingOptions(NamedTuple):
    """How an archive is listed.

    Attributes:
        passed_over: counts what else is there.
        streams: the most requests at a time that list a folder on S3.
        allow: prefixes of URIs that an archive may name elsewhere.
        limits: of the job.
    """

    passed_over: PassedOver
    streams: int
    allow: Sequence[str]
    limits: Limits


ListPhotos: TypeAlias = Callable[[str, ListingOptions], Iterator[Entry]]
"""Streams the photos of an archive in the order of their keys, by its URI."""


def _list_bags(uri: str, options: ListingOptions) -> Iterator[Entry]:
    from pipeline.sources.bags import list_bags  # imported by jobs that name a bag

    return list_bags(uri, options.passed_over, options.streams)


def _list_ocfl_objects(uri: str, options: ListingOptions) -> Iterator[Entry]:
    from pipeline.sources.ocfl_objects import list_ocfl_objects  # imported by jobs that name an object

    return list_ocfl_objects(uri, options.passed_over, options.streams)


def _list_iiif(uri: str, options: ListingOptions) -> Iterator[Entry]:
    from pipeline.sources.iiif import list_iiif  # imported by jobs that name a manifest

    return list_iiif(uri, options.passed_over, options.allow, options.limits.request_pace)


_LISTINGS: dict[str, ListPhotos] = {"bagit": _list_bags, "iiif": _list_iiif, "ocfl": _list_ocfl_objects}
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
