"""Which photos a URI names: those of a folder, a glob, a file, or a container."""

import heapq
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, groupby
from operator import attrgetter

from pipeline.config import Limits
from pipeline.errors import ContainerError, StorageError
from pipeline.imageio import has_image_extension
from pipeline.sources.archive_sources import ListingOptions, find_source
from pipeline.sources.container import Container
from pipeline.sources.containers import CONTAINERS
from pipeline.sources.hidden_names import find_hidden_kind, is_named_by_glob
from pipeline.sources.passed_over import PassedOver
from pipeline.sources.photo_list import name_clash_message
from pipeline.storage import Entry, absolute_uri, list_objects, with_usual_protocol

DEFAULT_COLUMN = "image"
"""The column of a Parquet file that holds photos unless another is named."""
_CONTAINER_URI = re.compile(
    rf"(?P<files>.+\.(?P<kind>{'|'.join(CONTAINERS)}))(#(?P<column>[^/#]+))?", re.IGNORECASE | re.DOTALL
)
_COMPRESSED_TAR = re.compile(r".+\.(tar\.\w+|tgz)", re.IGNORECASE | re.DOTALL)


def discover_images(
    uri: str,
    passed_over: PassedOver | None = None,
    allow: Sequence[str] = (),
    streams: int = 1,
    inventory: str | None = None,
    limits: Limits | None = None,
) -> Iterator[Entry]:
    """Stream the photos that a URI names, in the order of their keys.

    Args:
        uri: a folder, glob or file; or a file or glob of `.tar`, `.zip` or `.parquet` for the photos inside (`#column`
            at its end names the Parquet column, `image` by default); or of `.txt`, a list of photos, one a line; or,
            after one of the prefixes of `pipeline.config.SOURCE_KINDS`, an archive.
        passed_over: counts what else is in a folder, or in a tar or ZIP file, hidden files and those of systems
            (`pipeline.sources.hidden_names`) included.
        allow: prefixes of URIs that lists and columns of URIs may name, besides what lies below their own folders;
            local ones may name anything.
        streams: the most requests at a time that list a folder or glob on S3.
        inventory: the manifest of an S3 Inventory by which a folder or glob is listed instead.
        limits: of the job; the default ones if none are given.

    A container that is corrupt, or two of whose photos have one name, is yielded itself, and reading it fails.

    Raises:
        FileNotFoundError: no such folder, bucket or file.
        NotAllowedError: a list or column names something else.
        StorageError: it cannot be listed or read.
    """
    if source := find_source(uri):
        if inventory is not None:
            raise StorageError(f"{uri} is not listed by an inventory: leave out {inventory}, or {source.kind}:")
        counter = PassedOver() if passed_over is None else passed_over
        yield from source.list_photos(source.uri, ListingOptions(counter, streams, allow, limits or Limits()))
        return
    if _COMPRESSED_TAR.fullmatch(uri):
        raise StorageError(f"{uri}: photos in a compressed tar cannot be read one by one; decompress it to .tar")
    match = _CONTAINER_URI.fullmatch(uri)
    container = CONTAINERS[match["kind"].lower()] if match else None
    if match is None or container is None or (match["column"] and not container.has_columns):
        yield from list_images(uri, passed_over, streams, inventory)
        return
    files = sorted(list_images(match["files"], passed_over, streams, inventory), key=lambda entry: entry.key + "/")
    column = match["column"] or DEFAULT_COLUMN
    entries_by_file = (_or_bad_container(file, container.entries(file, column, allow)) for file in files)
    if passed_over is not None:
        pairs = zip(files, entries_by_file, strict=True)
        entries_by_file = (_count_others(file, container, inside, passed_over) for file, inside in pairs)
    if container.names_photos(files, column):
        yield from _merge_unique(entries_by_file)
    else:
        yield from chain.from_iterable(entries_by_file)


def list_images(
    uri: str, passed_over: PassedOver | None = None, streams: int = 1, inventory: str | None = None
) -> Iterator[Entry]:
    """Stream the images below a folder, by their extensions; the files that match a glob; or one file.

    Hidden files and those of systems are left out unless the URI names them.
    """
    counter = PassedOver() if passed_over is None else passed_over

    def accepts(path: str) -> bool:
        if not (is_image := has_image_extension(path)):
            counter.add(path)
        return is_image

    def hides(path: str, key: str, pattern: str) -> bool:
        kind = find_hidden_kind(key)
        if kind is None or is_named_by_glob(key, pattern):
            return False
        counter.add(path, kind)
        return True

    list_store = None
    if inventory is not None:
        if not with_usual_protocol(absolute_uri(uri)).startswith("s3://"):
            raise StorageError(f"{uri} is listed by the inventory {inventory}, but not on S3: leave out the inventory")
        from pipeline.sources.inventory import list_inventory  # imports pyarrow.csv

        list_store = partial(list_inventory, inventory)
    return list_objects(uri, accepts, counter.add_special, hides, streams, list_store)


def _count_others(
    file: Entry, container: Container, entries: Iterator[Entry], passed_over: PassedOver
) -> Iterator[Entry]:
    """Yield the photos of a container, and count what else it holds."""
    yield from entries
    with suppress(ContainerError):  # then it is a failed row itself
        for name in container.other_names(file):
            passed_over.add(name, find_hidden_kind(name))


def _merge_unique(lists: Iterable[Iterator[Entry]]) -> Iterator[Entry]:
    """Yield the photos that several lists name, in the order of their keys, each once."""
    for key, entries in groupby(heapq.merge(*lists, key=attrgetter("key")), key=attrgetter("key")):
        first, *others = entries
        if other := next((entry for entry in others if entry.uri != first.uri), None):
            raise StorageError(name_clash_message(first.uri, other.uri, key))
        yield first


def _or_bad_container(file: Entry, entries: Iterator[Entry]) -> Iterator[Entry]:
    """Yield the photos of one container, or if it cannot be parsed the file itself, which fails as one image."""
    try:
        first = next(entries, None)
    except ContainerError:
        yield _bad_container(file)
        return
    except (StorageError, FileNotFoundError):  # of storage, or of what a list may name
        raise
    except Exception:  # parsers raise anything over bytes made to harm, and run out of memory or stack
        yield _bad_container(file)
        return
    if first is not None:
        yield first
        yield from entries


def _bad_container(file: Entry) -> Entry:
    return file._replace(key=f"{file.key}/{file.key.rpartition('/')[2]}")
