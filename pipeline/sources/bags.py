"""BagIt bags below a folder of any storage: the photos of their payloads, with the checksums of their manifests.

One listing of the folder goes through all bags: `bagit.txt` comes before the files below `data/` in the order of names.
The lines of a bag's manifests are sorted on the disk and joined with the listed files, both in the order of their
paths, so that memory does not grow with the bag. The bytes of a photo are compared with its checksum when they are read
(`pipeline.sources.fixity`). Nothing is fetched that `fetch.txt` names, as whoever made the
bag would decide what this machine requests.
"""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pipeline.errors import ErrorCode, StorageError
from pipeline.imageio import has_image_extension
from pipeline.sources.bag_manifests import (
    DECLARATION,
    PAYLOAD_FOLDER,
    InvalidBagError,
    PayloadFile,
    read_manifests,
)
from pipeline.sources.fixity import has_fixity, make_failure, make_fixity
from pipeline.sources.hidden_names import find_hidden_kind
from pipeline.sources.ordered_listing import OrderedListing
from pipeline.sources.passed_over import PassedOver
from pipeline.sources.payload_paths import PathIndex, other_spellings
from pipeline.storage import Entry, escape_hashes, find_link_out, iter_files, parent_uri, stat

_LISTED_BEFORE_DECLARATION = "bag-info.txt"  # of a bag's own files


def list_bags(uri: str, passed_over: PassedOver, streams: int = 1) -> Iterator[Entry]:
    """Stream the photos in the payload of a bag, or of all bags below a folder, in the order of their keys.

    A key is the path of the bag below the folder, and the path of the photo below the bag's `data`. A photo that the
    manifests do not list, or a bag that breaks the rules, is yielded as an entry that fails when it is read.

    Args:
        uri: of the bag, or of the folder.
        passed_over: counts the payload files that are no photos, and what lies outside of bags.
        streams: the most requests at a time that list a folder on S3.

    Raises:
        FileNotFoundError: nothing lies below the URI.
        StorageError: it holds no bag, or cannot be listed or read.
    """
    files, n_bags = OrderedListing(iter_files(uri, streams, passed_over.add_special)), 0
    for file in files:
        prefix, _, name = file.key.rpartition("/")
        if name != DECLARATION:
            if name != _LISTED_BEFORE_DECLARATION:
                passed_over.add(file.key, find_hidden_kind(file.key))
            continue
        n_bags += 1
        below = files.take_below(f"{prefix}/" if prefix else "")
        yield from _list_bag(file, below, passed_over)
    if not n_bags and not files.n_listed:
        raise FileNotFoundError(uri)
    if not n_bags:
        raise StorageError(
            f"{uri} holds no BagIt bag: {DECLARATION} is neither in it nor in a folder below; name the folder of a "
            "bag, or leave out bagit: to read a plain folder"
        )


def _list_bag(declaration: Entry, files: Iterator[Entry], passed_over: PassedOver) -> Iterator[Entry]:
    """Yield the photos of one bag.

    Args:
        declaration: its `bagit.txt`.
        files: what is listed after it in the bag's folder.
        passed_over: counts the payload files that are no photos.
    """
    bag, prefix = parent_uri(declaration.uri), declaration.key.removesuffix(DECLARATION)
    index = PathIndex()
    with tempfile.TemporaryDirectory(prefix="deepot-bag-") as folder:
        try:
            stated = read_manifests(bag, Path(folder), index)
        except InvalidBagError as error:
            yield declaration._replace(etag=make_failure(ErrorCode.INVALID_PACKAGE, str(error)))
            for _ in files:
                pass
            return
        payload = _iter_payload(files, prefix, passed_over)
        for entry in _join(bag, stated, payload, index):
            yield entry._replace(key=prefix + entry.key)


def _iter_payload(files: Iterator[Entry], prefix: str, passed_over: PassedOver) -> Iterator[Entry]:
    """Yield the photos among the files of a bag's payload, with their paths below `data` as keys."""
    start = f"{prefix}{PAYLOAD_FOLDER}/"
    for file in files:
        if not file.key.startswith(start):
            continue  # tag files
        path = file.key.removeprefix(start)
        if _is_photo(path):
            yield file._replace(key=path, etag="")
        else:
            passed_over.add(path, find_hidden_kind(path))


def _is_photo(path: str) -> bool:
    return has_image_extension(path) and find_hidden_kind(path) is None


def _join(bag: str, stated: Iterator[PayloadFile], files: Iterator[Entry], index: PathIndex) -> Iterator[Entry]:
    """Join what the manifests state with what is listed; both are in the order of their paths."""
    file = next(files, None)
    for payload_file in stated:
        if not _is_photo(payload_file.path):
            continue
        while file is not None and file.key < payload_file.path:
            yield from _unlisted(file, index)
            file = next(files, None)
        if file is not None and file.key == payload_file.path:
            yield _with_fixity(file, payload_file)
            file = next(files, None)
        else:
            yield _with_fixity(_find_unlisted(bag, payload_file.path), payload_file)
    while file is not None:
        yield from _unlisted(file, index)
        file = next(files, None)


def _with_fixity(file: Entry, payload_file: PayloadFile) -> Entry:
    if has_fixity(file.etag):
        return file
    if payload_file.digest:
        return file._replace(etag=make_fixity(payload_file.algorithm, payload_file.digest))
    reason = f"the bag's {payload_file.algorithm} manifest states two checksums of it: correct the manifest"
    return file._replace(etag=make_failure(ErrorCode.FIXITY, reason))


def _unlisted(file: Entry, index: PathIndex) -> Iterator[Entry]:
    """Yield a photo that no manifest lists, unless one lists it in another spelling."""
    if file.key not in index:
        reason = "no manifest of its bag lists it, so nothing proves its bytes: add it with a BagIt tool, or remove it"
        yield file._replace(etag=make_failure(ErrorCode.FIXITY, reason))


def _find_unlisted(bag: str, path: str) -> Entry:
    """Return the file that a path means which the listing does not have: it is spelled in another way, or missing.

    Reading a missing one reports that. A symbolic link is not listed; one that leads out of the bag is refused.
    """
    for spelled in (path, *other_spellings(path)):
        with suppress(FileNotFoundError):
            found = stat(_payload_uri(bag, spelled))._replace(key=path, etag="")
            if link := find_link_out(f"{found.uri}/{DECLARATION}", bag):
                reason = f"the symbolic link {link} leads out of its bag: store the file itself"
                return found._replace(etag=make_failure(ErrorCode.INVALID_PACKAGE, reason))
            return found
    return Entry(_payload_uri(bag, path), path, 0, "", 0.0)


def _payload_uri(bag: str, path: str) -> str:
    return f"{bag}/{PAYLOAD_FOLDER}/{escape_hashes(path)}"
