"""OCFL objects below a folder of any storage: the photos of their head versions, with the digests of their inventories.

An object is a folder with a file called `0=ocfl_object_1.x`, wherever the layout of its storage root has put it, so
that every layout is read. One listing of the root goes through all objects, and gives the sizes and dates of contents;
in the order of names the declaration comes first. A few objects at a time have their inventories read in threads. The
bytes of a photo are compared with its digest when they are read (`pipeline.sources.fixity`).
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.errors import ErrorCode, StorageError
from pipeline.imageio import has_image_extension
from pipeline.sources.fixity import make_failure, make_fixity
from pipeline.sources.hidden_names import find_hidden_kind
from pipeline.sources.ocfl_inventory import INVENTORY, HeadVersion, InvalidObjectError, ObjectFile, read_head_version
from pipeline.sources.ordered_listing import OrderedListing
from pipeline.sources.passed_over import PassedOver
from pipeline.storage import Entry, escape_hashes, find_link_out, iter_files, parent_uri, prefetch_map

_DECLARATION = re.compile(r"0=ocfl_object_(\d+\.\d+)")
_VERSIONS = ("1.0", "1.1")
_READ_THREADS = 16
_ROOT_FILES = ("0=ocfl_", "ocfl_", "extensions/")
"""What the names begin with that a storage root has besides objects."""


class _StoredObject(NamedTuple):
    """An object as it is listed.

    Attributes:
        declaration: the file that declares it.
        files: its other files, by their paths in the object.
    """

    declaration: Entry
    files: dict[str, Entry]


def list_ocfl_objects(uri: str, passed_over: PassedOver, streams: int = 1) -> Iterator[Entry]:
    """Stream the photos in the head version of an object, or of all objects below a folder, in the order of their keys.

    A key is the path of the object below the folder, and the path of the photo in the version. An object that breaks
    the rules is yielded as an entry that fails when it is read.

    Args:
        uri: of the object, the storage root, or a folder in it.
        passed_over: counts the files of head versions that are no photos, and what lies outside of objects.
        streams: the most requests at a time that list a folder on S3.

    Raises:
        FileNotFoundError: nothing lies below the URI.
        StorageError: it holds no object, or cannot be listed or read.
    """
    files = OrderedListing(iter_files(uri, streams, passed_over.add_special))
    n_objects = 0
    for stored, head in prefetch_map(_read_head, _iter_objects(files, passed_over), _READ_THREADS):
        n_objects += 1
        if isinstance(head, InvalidObjectError):
            yield stored.declaration._replace(etag=make_failure(ErrorCode.INVALID_PACKAGE, str(head)))
        else:
            yield from _iter_photos(stored, head, passed_over)
    if not n_objects and not files.n_listed:
        raise FileNotFoundError(uri)
    if not n_objects:
        raise StorageError(
            f"{uri} holds no OCFL object: 0=ocfl_object_1.1 is neither in it nor in a folder below; name a storage "
            "root or the folder of an object, or leave out ocfl: to read a plain folder"
        )


def _iter_objects(files: OrderedListing, passed_over: PassedOver) -> Iterator[_StoredObject]:
    for file in files:
        prefix, slash, name = file.key.rpartition("/")
        if _DECLARATION.fullmatch(name):
            below = files.take_below(prefix + slash)
            yield _StoredObject(file, {each.key.removeprefix(prefix + slash): each for each in below})
        elif not file.key.startswith(_ROOT_FILES):
            passed_over.add(file.key, find_hidden_kind(file.key))


def _read_head(stored: _StoredObject) -> HeadVersion | InvalidObjectError:
    """Return the head version of an object, or why it is not known."""
    declaration = stored.declaration.key.rpartition("/")[2]
    match = _DECLARATION.fullmatch(declaration)
    if match is None or match[1] not in _VERSIONS:
        return InvalidObjectError(f"{stored.declaration.uri} declares another version of OCFL than {_VERSIONS}")
    try:
        return read_head_version(parent_uri(stored.declaration.uri))
    except InvalidObjectError as error:
        return error


def _iter_photos(stored: _StoredObject, head: HeadVersion, passed_over: PassedOver) -> Iterator[Entry]:
    root, prefix = parent_uri(stored.declaration.uri), stored.declaration.key.rpartition("0=")[0]
    for file in head.files:
        hidden_kind = find_hidden_kind(file.path)
        if hidden_kind is not None or not has_image_extension(file.path):
            passed_over.add(file.path, hidden_kind)
            continue
        content = _find_content(stored, root, file, make_fixity(head.algorithm, file.digest))
        yield content._replace(key=prefix + file.path)


def _find_content(stored: _StoredObject, root: str, file: ObjectFile, etag: str) -> Entry:
    """Return the file that holds some contents; reading a missing one reports that."""
    for path in file.content_paths:
        if path in stored.files:
            return stored.files[path]._replace(etag=etag)
    missing = Entry(f"{root}/{escape_hashes(file.content_paths[0])}", "", 0, etag, 0.0)
    if link := find_link_out(f"{missing.uri}/{INVENTORY}", root):
        reason = f"the symbolic link {link} leads out of its object: store the file itself"
        return missing._replace(etag=make_failure(ErrorCode.INVALID_PACKAGE, reason))
    return missing
