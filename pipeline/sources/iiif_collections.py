"""The manifests that an IIIF collection names, with the collections in it and their pages, each once."""

import json
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urldefrag

import pyarrow as pa

from pipeline.errors import StorageError, TooLargeError
from pipeline.sources.iiif_documents import is_collection, is_manifest, read_links
from pipeline.sources.iiif_names import manifest_folder
from pipeline.sources.sorted_rows import sort_rows
from pipeline.storage import RequestPace, read_politely, strip_protocol

MAX_DOCUMENT_BYTES = 64 * 2**20
"""The most bytes of a manifest, or of a collection or a page of one."""
MAX_COLLECTIONS = 100_000
"""The most collections and pages that are followed."""
_BATCH_ROWS = 16_384

CheckAllowed = Callable[[str, str], None]
"""Checks that a document, the first address, may name the second one; raises NotAllowedError."""


class ListedManifest(NamedTuple):
    """A manifest that a collection names.

    Attributes:
        folder: what the keys of its photos begin with.
        url: its address.
        same_as: another address with the same folder, which comes first; empty if there is none.
    """

    folder: str
    url: str
    same_as: str = ""


class InvalidDocumentError(StorageError):
    """A document of a server that is no manifest or collection."""


def read_document(url: str, pace: RequestPace) -> Mapping[str, Any]:
    """Return a manifest or collection.

    Raises:
        FileNotFoundError: the server has no such document.
        InvalidDocumentError: it is neither, or too large.
        StorageError: it cannot be read.
    """
    try:
        document = json.loads(read_politely(url, MAX_DOCUMENT_BYTES, pace))
    except TooLargeError as error:
        raise InvalidDocumentError(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise InvalidDocumentError(f"{url} is no JSON: {type(error).__name__}; open it in a browser") from error
    if not (is_manifest(document) or is_collection(document)):
        raise InvalidDocumentError(f"{url} is neither a manifest nor a collection of IIIF Presentation 2 or 3")
    return dict(document)


def iter_manifests(
    url: str, collection: Mapping[str, Any], pace: RequestPace, check_allowed: CheckAllowed
) -> Iterator[ListedManifest]:
    """Stream the manifests below a collection in the order of their folders, each once.

    All collections are read before the first manifest is yielded; their names are sorted on the disk.

    Raises:
        NotAllowedError: a document names an address that it may not name.
        StorageError: a collection cannot be read, or there are more than `MAX_COLLECTIONS`.
    """
    rows = ((manifest_folder(found), found) for found in _iter_addresses(url, collection, pace, check_allowed))
    with tempfile.TemporaryDirectory(prefix="deepot-iiif-") as folder:
        for name, same in groupby(sort_rows(_iter_tables(rows), Path(folder)), key=itemgetter(0)):
            first, *others = _distinct(address for _, address in same)
            yield ListedManifest(name, first)
            for number, address in enumerate(others, 1):
                yield ListedManifest(f"{name}/~{number:06d}", address, first)


def _distinct(addresses: Iterable[str]) -> list[str]:
    """Return addresses in order; of those that differ in http and https alone only one."""
    return list({strip_protocol(address): address for address in sorted(addresses)}.values())


def _iter_addresses(
    url: str, collection: Mapping[str, Any], pace: RequestPace, check_allowed: CheckAllowed
) -> Iterator[str]:
    pending = deque[tuple[str, Mapping[str, Any] | None]]([(url, collection)])
    seen = {url}
    while pending:
        address, document = pending.popleft()
        links = read_links(read_document(address, pace) if document is None else document)
        for manifest in (urldefrag(each)[0] for each in links.manifests):
            check_allowed(address, manifest)
            yield manifest
        pending.extend((address, nested) for nested in links.nested)
        for found in (urldefrag(each)[0] for each in links.collections):
            if found not in seen:
                check_allowed(address, found)
                seen.add(found)
                pending.append((found, None))
        if len(seen) > MAX_COLLECTIONS:
            raise StorageError(
                f"{url} leads to more than {MAX_COLLECTIONS} collections and pages: name the parts one by one"
            )


def _iter_tables(rows: Iterator[tuple[str, str]]) -> Iterator[pa.Table]:
    schema = pa.schema([("folder", pa.large_string()), ("address", pa.large_string())])
    while batch := list(islice(rows, _BATCH_ROWS)):
        yield pa.table([list(column) for column in zip(*batch, strict=True)], schema=schema)
